"""Dead letters: kept whole, sent again on request, and never lost by the kill of a process."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults import FaultyStore, killed_after, lines_of
from outboxes import files, letters
from sagatrace.errors import OutboxFullError
from sagatrace.event import TraceEvent, new_event
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE, REFUSED
from sagatrace.shipper.dead_letters import DEAD_LETTERS, DeadLetters, Resent, acknowledge_refused, resend
from sagatrace.shipper.segment import Line
from sagatrace.shipper.shipper import Shipment, Shipper
from sagatrace.stores import AppendError, RefusedEvent
from sagatrace.stores.memory import MemoryStore

ROOM = 1 << 20


def event(name: str, note: str = "") -> TraceEvent:
    return new_event(id=name, trace_id="T", span_id="S", event_type="ai:decision", data={"note": note})


class Refusing(FaultyStore):
    """A store that refuses the events with these names."""

    def __init__(self, *names: str) -> None:
        super().__init__(self._plan)
        self.names = names

    def _plan(self, events: list[TraceEvent]) -> Exception | None:
        refused = [RefusedEvent(one, "its id holds a tab") for one in events if one.id in self.names]
        if not refused:
            return None
        MemoryStore.append(self, [one for one in events if one.id not in self.names])
        return AppendError("some refused", new=len(events) - len(refused), refused=refused)


def shipped(directory: Path, store: MemoryStore) -> Shipment:
    shipper = Shipper(directory, store)
    shipment = shipper.run_once()
    shipper.close()
    return shipment


def test_a_dead_letter_is_sent_again_as_it_was_first(outbox: Outbox) -> None:
    store = Refusing("seen")
    outbox.append([event("seen", "by the worker")], replace=True)
    outbox.append([event("e1")])
    shipped(outbox.directory, store)
    store.names = ()
    store.append([event("seen", "presumed meanwhile")])
    assert resend(outbox.directory, ROOM) == Resent(events=1, left=0)
    assert not (outbox.directory / DEAD_LETTERS).exists()
    assert shipped(outbox.directory, store) == Shipment(1, 0)
    (seen,) = [one for one in store.fetch_trace("T").events if one.id == "seen"]
    assert seen.data == {"note": "by the worker"}
    assert resend(outbox.directory, ROOM) == Resent(events=0, left=0)
    assert files(outbox.directory) == ["shipper.lock"]


def test_a_letter_refused_again_comes_back_and_one_that_is_not_an_event_stays(outbox: Outbox) -> None:
    store = Refusing("e1")
    outbox.append([event("e1"), event("e2")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b"nonsense\n")
    shipped(outbox.directory, store)
    with (outbox.directory / DEAD_LETTERS).open("ab") as file:
        file.write(b'not even JSON\n{"event":{"id":"e3"}}\n')
    assert resend(outbox.directory, ROOM) == Resent(events=1, left=3)
    assert (outbox.directory / DEAD_LETTERS).read_bytes().splitlines()[1:] == [
        b"not even JSON",
        b'{"event":{"id":"e3"}}',
    ]
    shipped(outbox.directory, store)
    with (outbox.directory / DEAD_LETTERS).open("rb") as file:
        assert json.loads(file.readlines()[-1])["event"]["id"] == "e1"


def test_a_letter_from_before_the_replace_flag_was_kept_is_sent_again(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    line = json.loads((outbox.directory / ACTIVE).read_text())
    (outbox.directory / ACTIVE).unlink()
    (outbox.directory / DEAD_LETTERS).write_text(json.dumps({"at": "t", "reason": "r", **line}) + "\n")
    assert resend(outbox.directory, ROOM) == Resent(events=1, left=0)
    store = MemoryStore()
    assert shipped(outbox.directory, store) == Shipment(1, 0)


def test_letters_stay_if_the_outbox_has_no_room_for_them(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    DeadLetters(outbox.directory).add(Line(event("e2")), "refused")
    before = files(outbox.directory)
    with pytest.raises(OutboxFullError, match="dead letters"):
        resend(outbox.directory, 10)
    assert files(outbox.directory) == before


def test_a_kill_while_letters_are_sent_again_loses_none(tmp_path: Path) -> None:
    def filled(name: str) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        aside = DeadLetters(directory)
        for number in range(3):
            aside.add(Line(event(f"e{number}")), "refused")
        aside.add(b"nonsense", "not an event")
        return directory

    whole = filled("whole")
    lines = lines_of(lambda: resend(whole, ROOM))
    assert lines > 40
    for last in range(1, lines, 3):
        directory = filled(f"killed-{last}")
        child = killed_after(last, lambda directory=directory: resend(directory, ROOM))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        resend(directory, ROOM)
        store = MemoryStore()
        assert shipped(directory, store).fault is None
        assert {one.id for one in store.fetch_trace("T").events} == {"e0", "e1", "e2"}
        assert [letter["text"] for letter in letters(directory)] == ["nonsense"]
        assert files(directory) == [DEAD_LETTERS, "shipper.lock"]


def test_a_letter_written_while_others_are_sent_again_is_kept(outbox: Outbox, until: Callable[..., Any]) -> None:
    """The writer has the old file open, waits for its lock, and finds another file in its place."""
    outbox.directory.mkdir()
    aside = DeadLetters(outbox.directory)
    aside.add(Line(event("e1")), "refused")
    path = outbox.directory / DEAD_LETTERS
    writer = threading.Thread(target=aside.add, args=(Line(event("e2")), "refused"))

    def opened() -> int:
        return sum(os.path.realpath(name) == str(path) for name in Path("/proc/self/fd").iterdir())

    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer.start()
        until(lambda: opened() == 2, "the writer to open the file")
        path.unlink()
    writer.join(60)
    assert [letter["event"]["id"] for letter in letters(outbox.directory)] == ["e2"]


def test_letters_sent_again_before_they_are_on_the_disk_block_no_segment(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command takes a letter after the shipper wrote it, and before it is on the disk."""
    outbox.append([event("e1")])
    sync, taken = DeadLetters.sync, []
    store = Refusing("e1")

    def late(aside: DeadLetters) -> None:
        taken.append(resend(outbox.directory, ROOM))
        store.names = ()
        sync(aside)

    monkeypatch.setattr(DeadLetters, "sync", late)
    assert shipped(outbox.directory, store) == Shipment(1, 1)
    assert taken == [Resent(events=1, left=0)]
    assert files(outbox.directory) == ["shipper.lock"]


def test_a_letter_cut_by_a_kill_damages_no_other(outbox: Outbox) -> None:
    outbox.directory.mkdir()
    path = outbox.directory / DEAD_LETTERS
    path.write_bytes(b'{"at":"2026","reason":"cut by a k')
    DeadLetters(outbox.directory).add(Line(event("e1")), "refused")
    assert resend(outbox.directory, ROOM) == Resent(events=1, left=1)


def test_refusals_are_acknowledged_once_and_counted_again(outbox: Outbox) -> None:
    assert acknowledge_refused(outbox.directory) == 0
    outbox.append([event("e1")])
    small = Outbox(outbox.directory, max_bytes=640)
    for _ in range(3):
        with pytest.raises(OutboxFullError):
            small.append([event("e2", "x" * 100)])
    assert acknowledge_refused(outbox.directory) == 3
    assert acknowledge_refused(outbox.directory) == 0
    with pytest.raises(OutboxFullError):
        small.append([event("e2", "x" * 100)])
    assert (outbox.directory / REFUSED).stat().st_size == 1
