"""A full disk: the shipper frees it, as delivery needs no space."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults import in_child, stored
from outboxes import event, files, letters
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE, seal, sealed_segments
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipment, Shipper
from sagatrace.stores.memory import MemoryStore


def test_a_full_disk_is_emptied_and_the_missing_state_is_logged_once(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        outbox.append([event(f"e{number}")])

    def work() -> None:
        store = MemoryStore()
        shipper = Shipper(outbox.directory, store)
        assert shipper.run_once() == Shipment(5, 0)
        assert files(outbox.directory) == ["shipper.lock"]
        assert shipper.run_once() == Shipment(0, 0)
        assert len(store.fetch_trace("T").events) == 5
        shipper.close()
        (record,) = caplog.records
        assert "the state cannot be written" in record.getMessage()

    assert in_child(work, room=0) == 0


def test_an_event_that_a_full_disk_cannot_set_aside_stays_and_blocks_no_other(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b'{"event":{"id":"of another program"}}\n')
    seal(outbox.directory)
    for number in range(2, 6):
        outbox.append([event(f"e{number}")])
        seal(outbox.directory)
    (outbox.directory / DEAD_LETTERS).write_text('{"text":"before"}\n')

    def work() -> None:
        shipper = Shipper(outbox.directory, MemoryStore())
        for delivered in (5, 1):  # events in the same segment are sent again: their ids make that harmless
            shipment = shipper.run_once()
            assert (shipment.delivered, shipment.set_aside) == (delivered, 0)
            assert "dead-letters" in str(shipment.fault)
        shipper.close()

    assert in_child(work, room=60) == 0
    assert len(sealed_segments(outbox.directory)) == 1
    assert [letter["text"] for letter in letters(outbox.directory)] == ["before"]
    shipper = Shipper(outbox.directory, MemoryStore())
    assert shipper.run_once() == Shipment(1, 1)
    shipper.close()
    assert [letter["text"][:14] for letter in letters(outbox.directory)] == ["before", '{"event":{"id"']
    assert files(outbox.directory) == [DEAD_LETTERS, "shipper.lock"]


def test_with_too_many_events_to_set_aside_delivery_waits(outbox: Outbox) -> None:
    outbox.append([event("e1")])
    with (outbox.directory / ACTIVE).open("ab") as file:
        file.write(b"nonsense\n" * 500)
    seal(outbox.directory)
    outbox.append([event("e2")])

    def work() -> None:
        shipper = Shipper(outbox.directory, MemoryStore())
        assert shipper.run_once().delivered == 1
        shipper.close()

    assert in_child(work, room=0) == 0
    shipper = Shipper(outbox.directory, MemoryStore())
    assert shipper.run_once() == Shipment(2, 500)
    shipper.close()


def test_the_process_ends_with_log_lines_about_the_cause(outbox: Outbox, tmp_path: Path) -> None:
    """The store is on the same disk, so no event can be delivered, and none is lost."""
    outbox.append([event("e1")])
    environment = {**os.environ, "SAGATRACE_STORE": f"sqlite:///{tmp_path}/traces.db"}
    command = [sys.executable, "-P", "-m", "sagatrace.shipper", str(outbox.directory)]
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)); "
    limited = [sys.executable, "-c", f"{limit}os.execv(sys.argv[1], sys.argv[1:])", *command]
    done = subprocess.run(limited, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "events stay in" in done.stderr.splitlines()[-1]
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (again.returncode, stored(tmp_path / "traces.db")) == (0, [("T", "e1")])
