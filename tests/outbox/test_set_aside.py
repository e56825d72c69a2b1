"""Refused events, and lines that are not events: set aside with the reason, while the others are delivered."""

from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from typing import Any

import pytest

from faults import FaultyStore
from outboxes import event, files, following, letters, willing
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipment, Shipper
from sagatrace.shipper.status import describe_outbox
from sagatrace.stores import AppendError, RefusedEvent
from sagatrace.stores.memory import MemoryStore


def test_a_refused_event_is_set_aside_with_its_reason_and_the_others_are_delivered(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    store = FaultyStore(willing)

    def plan(events: list[TraceEvent]) -> Exception | None:
        bad = [one for one in events if one.id == "bad"]
        if not bad:
            return None
        MemoryStore.append(store, [one for one in events if one.id != "bad"])
        refused = [RefusedEvent(one, "its id holds a tab") for one in bad]
        return AppendError("1 refused", new=len(events) - 1, refused=refused)

    store.plan = plan
    outbox.append([event("e1"), event("bad"), event("e2"), event("e3", "U")])
    shipper = Shipper(outbox.directory, store)
    shipment = shipper.run_once()
    shipper.close()
    assert (shipment.delivered, shipment.set_aside, shipment.fault) == (3, 1, None)
    assert (store.ids("T"), store.ids("U")) == (["e1", "e2"], ["e3"])
    (letter,) = letters(outbox.directory)
    assert (letter["event"]["id"], letter["reason"]) == ("bad", "its id holds a tab")
    assert stat.S_IMODE((outbox.directory / DEAD_LETTERS).stat().st_mode) == 0o600
    assert "event bad of trace T is set aside" in caplog.text
    assert files(outbox.directory) == [DEAD_LETTERS, "shipper.lock"]


def test_an_event_that_breaks_the_store_s_code_blocks_no_other(outbox: Outbox, until: Callable[..., Any]) -> None:
    store = FaultyStore(lambda events: KeyError("_rid") if any(one.id == "bad" for one in events) else None)
    outbox.append([event("e1"), event("bad"), event("e2"), event("e3", "U")])
    with following(Shipper(outbox.directory, store)):
        until(lambda: store.ids("T") == ["e1", "e2"] and store.ids("U") == ["e3"], "the neighbours")
        until(lambda: describe_outbox(outbox.directory).dead_letters == 1, "the letter")
    assert letters(outbox.directory)[0]["reason"] == "KeyError: '_rid'"
    assert sum(any(one.id == "bad" for one in events) for _, events in store.calls) == 5  # in its batch, then alone


def test_lines_that_are_not_events_are_set_aside_and_the_others_are_delivered(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b'\n{"event":{"id":"torn","trace_id"')  # a writer killed in the middle of its write
    outbox.append([event("e2")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b"\xff\x00\n\n[]\n" + b"[" * 5000 + b"\n")
        line = encode_event(event("e3")).replace(b'"timestamp":"2', b'"timestamp":"x')
        file.write(b'{"event":' + line + b"}\n")
    outbox.append([event("e4")])
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    shipment = shipper.run_once()
    shipper.close()
    assert (shipment.delivered, shipment.set_aside) == (3, 4)
    assert sorted(one.id for one in store.fetch_trace("T").events) == ["e1", "e2", "e4"]
    assert [letter["text"][:8] for letter in letters(outbox.directory)] == [
        "\\xff\x00",
        "[]",
        "[[[[[[[[",
        '{"event"',
    ]
    assert files(outbox.directory) == [DEAD_LETTERS, "shipper.lock"]


def test_a_last_line_without_its_end_gets_time_to_be_finished(outbox: Outbox, until: Callable[..., Any]) -> None:
    """A long line is written piece by piece. An unfinished line is not set aside immediately."""
    line = b'{"event":' + encode_event(event("e2")) + b"}\n"
    outbox.append([event("e1")])
    store = FaultyStore(willing)
    with (outbox.directory / ACTIVE).open("ab", buffering=0) as file:
        file.write(line[:40])
        with following(Shipper(outbox.directory, store)):
            until(lambda: store.ids("T") == ["e1"], "the whole line")
            file.write(line[40:])
            until(lambda: store.ids("T") == ["e1", "e2"], "the line that was finished")
    assert files(outbox.directory) == ["shipper.lock"]


def test_a_last_line_that_stays_cut_is_counted_in_the_log_and_is_not_a_dead_letter(
    outbox: Outbox, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its writer was killed during the write, so the event was never acknowledged."""
    outbox.append([event("e1")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b'\n{"event":{"id":"torn"')
    store = MemoryStore()
    with caplog.at_level(logging.INFO, "sagatrace.shipper"), following(Shipper(outbox.directory, store)):
        until(lambda: files(outbox.directory) == ["shipper.lock"], "the end of the segment")
    assert len(store.fetch_trace("T").events) == 1
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == ["1 unfinished lines skipped"]


def test_a_cut_line_before_another_line_is_not_a_dead_letter(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    data = {"text": "é😀\n\x1b", "numbers": [-1.5e-10, 0, 12345678901234567890], "rest": [True, False, None, {}]}
    whole = new_event(id="cut", trace_id="T", span_id="S", event_type="x", data=data, tags=["a", "b"])
    line = b'{"replace":true,"event":' + encode_event(whole) + b"}"
    escaped = line.replace("é😀".encode(), b"\\u00e9\\ud83d\\ude00")
    for one in (line, escaped):
        outbox.append([whole], replace=True)
        with (outbox.directory / ACTIVE).open("ab") as file:
            file.writelines(b"\n" + one[:size] + b"\n" for size in range(1, len(one)))
    store = MemoryStore()
    shipper = Shipper(outbox.directory, store)
    with caplog.at_level(logging.INFO, "sagatrace.shipper"):
        assert shipper.run_once() == Shipment(2, 0)
    shipper.close()
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"{len(line) + len(escaped) - 2} unfinished lines skipped"
    ]


def test_any_number_of_dead_letters_is_kept(outbox: Outbox) -> None:
    path = outbox.directory / DEAD_LETTERS
    for number in range(3):
        outbox.append([event(f"e{number}")])
        with (outbox.directory / ACTIVE).open("ab") as file:
            file.write(b"nonsense\n")
        with path.open("ab") as file:
            file.write(b'{"text":"%s"}\n' % (b"x" * (17 << 20)))
        shipper = Shipper(outbox.directory, MemoryStore())
        assert shipper.run_once() == Shipment(1, 1)
        shipper.close()
    assert describe_outbox(outbox.directory).dead_letters == 6
