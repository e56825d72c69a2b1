"""Shippers as processes: a process that needs one starts it, one per outbox, and it ends when no process needs it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from faults import shippers, stored
from sagatrace import TraceContext, Tracer
from sagatrace.outbox import Outbox
from sagatrace.segments import sealed_segments
from sagatrace.shipper.launcher import SHIPPER_LOG, ShipperKeeper
from sagatrace.shipper.status import describe_outbox

Until = Callable[..., Any]


class Place:
    """An outbox, its store, and its shippers."""

    def __init__(self, directory: Path) -> None:
        self.outbox = directory / "outbox"
        self.database = directory / "traces.db"
        self.tracer = Tracer(Outbox(self.outbox))

    def emit(self, name: str) -> None:
        assert self.tracer.emit("ai:decision", TraceContext("T"), event_id=name)

    def stored(self) -> list[str]:
        return [event_id for _, event_id in stored(self.database)]

    def shippers(self) -> list[psutil.Process]:
        return shippers(self.outbox)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Provide an outbox, and require that all its processes have ended."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    place = Place(tmp_path)
    yield place
    left = place.shippers()
    for process in left:
        process.kill()
    assert left == []


@contextmanager
def following_ship(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", "-m", "sagatrace.shipper", "--follow", str(place.outbox)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as shipper:
        try:
            yield shipper
        finally:
            shipper.kill()


def run_ship(place: Place, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "sagatrace.shipper", *options, str(place.outbox)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_events_are_stored_soon_and_the_shipper_ends_with_its_keeper(place: Place, until: Until) -> None:
    keeper = ShipperKeeper(place.outbox)
    keeper.attend()
    place.emit("e0")
    until(lambda: place.stored() == ["e0"], "the first event")
    for number in range(1, 11):
        place.emit(f"e{number}")
        until(lambda number=number: len(place.stored()) > number, "the next event")
    (shipper,) = place.shippers()
    assert "sqlite" not in " ".join(shipper.cmdline())  # a store's address may hold a secret
    assert os.getsid(shipper.pid) == shipper.pid
    assert shipper.nice() > psutil.Process().nice()  # jobs come first
    keeper.close()
    assert place.shippers() == []


def test_close_waits_for_the_emitted_events(place: Place) -> None:
    keeper = ShipperKeeper(place.outbox, flush_for=60.0)
    keeper.attend()
    for number in range(3000):
        place.emit(f"e{number:04d}")
    keeper.close()
    assert len(place.stored()) == 3000


def test_close_does_not_wait_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, until: Until
) -> None:
    """The remaining events stay in the outbox, for the next shipper."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}")  # a directory
    keeper = ShipperKeeper(place.outbox, flush_for=1.0)
    keeper.attend()
    place.emit("e1")
    began = time.monotonic()
    keeper.close()
    assert 1.0 <= time.monotonic() - began < 30  # far less than the time for which a shipper retries alone
    assert len(sealed_segments(place.outbox)) == 1
    (shipper,) = place.shippers()  # it retries for half a minute
    until(lambda: "cannot use the store" in (place.outbox / SHIPPER_LOG).read_text(), "the reason in the log")
    shipper.kill()
    psutil.wait_procs([shipper], timeout=60)
    assert stat.S_IMODE((place.outbox / SHIPPER_LOG).stat().st_mode) == 0o600
    monkeypatch.undo()
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{place.database}")
    assert run_ship(place).returncode == 0
    assert place.stored() == ["e1"]


def test_two_keepers_share_one_shipper_until_the_last_closes(place: Place, until: Until) -> None:
    first, second = ShipperKeeper(place.outbox), ShipperKeeper(place.outbox)
    first.attend()
    until(lambda: describe_outbox(place.outbox).shipper, "a shipper")
    second.attend()
    (shipper,) = place.shippers()
    first.close()
    place.emit("e1")
    until(lambda: place.stored() == ["e1"], "what came after the first one left")
    assert place.shippers() == [shipper]
    second.close()
    until(lambda: not place.shippers(), "its end")


def test_a_shipper_that_died_is_replaced(place: Place, until: Until) -> None:
    keeper = ShipperKeeper(place.outbox, flush_for=60.0)
    keeper.attend()
    until(lambda: describe_outbox(place.outbox).shipper, "a shipper")
    (shipper,) = place.shippers()
    shipper.kill()
    until(lambda: not place.shippers(), "its end")
    place.emit("e1")
    keeper.close()  # looks once more
    assert place.stored() == ["e1"]


def test_the_next_shipper_has_the_store_of_the_first(
    place: Place, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job in the keeper's process may change the environment."""
    keeper = ShipperKeeper(place.outbox, flush_for=60.0)
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/other.db")
    place.emit("e1")
    keeper.attend()
    until(lambda: place.stored() == ["e1"], "the event")
    keeper.close()
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize("name", ["", "users.lock", "shipper.lock"])
def test_an_outbox_removed_under_its_keeper_is_delivered_again(
    place: Place, until: Until, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """A cleaner of temporary files removes the directory, or only its old files."""
    keeper = ShipperKeeper(place.outbox)
    keeper.attend()
    place.emit("e1")
    until(lambda: place.stored() == ["e1"], "the event before")
    (before,) = place.shippers()
    (place.outbox / name).rename(tmp_path / "removed")
    until(lambda: before not in place.shippers(), "the end of a shipper that owns nothing any more")
    place.emit("e2")

    def arrived() -> bool:
        keeper._next_look = 0.0
        keeper.attend()
        return place.stored() == ["e1", "e2"]

    until(arrived, "the event after")
    place.emit("e3")
    until(lambda: place.stored() == ["e1", "e2", "e3"], "one more, by a shipper that stays")
    assert caplog.text.count("was removed or replaced") == (name != "shipper.lock")
    keeper.close()
    until(lambda: not place.shippers(), "the end of the shipper")


def test_a_following_shipper_delivers_an_outbox_that_was_created_again(place: Place, until: Until) -> None:
    place.emit("e1")
    with following_ship(place) as shipper:
        until(lambda: place.stored() == ["e1"], "the event before")
        place.outbox.rename(place.outbox.with_name("removed"))
        place.emit("e2")
        until(lambda: place.stored() == ["e1", "e2"] or shipper.poll() is not None, "the event after")
        assert place.stored() == ["e1", "e2"]
        shipper.terminate()
        assert shipper.wait(60) == 0


def test_after_a_kill_of_its_keeper_it_delivers_the_rest_and_ends(place: Place, until: Until) -> None:
    keeping = os.fork()
    if keeping == 0:
        ShipperKeeper(place.outbox).attend()
        for number in range(500):
            place.emit(f"e{number:03d}")
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(keeping, 0)[1]) == -signal.SIGKILL
    until(lambda: len(place.stored()) == 500, "all events")
    until(lambda: not place.shippers(), "the shipper's end")


def test_a_forked_child_leaves_its_parent_s_shipper_alone(place: Place, until: Until) -> None:
    keeper = ShipperKeeper(place.outbox)
    keeper.attend()
    until(lambda: describe_outbox(place.outbox).shipper, "a shipper")
    child = os.fork()
    if child == 0:
        keeper.attend()
        keeper.close()
        os._exit(0)
    os.waitpid(child, 0)
    place.emit("e1")
    until(lambda: place.stored() == ["e1"], "the event")
    keeper.close()


def test_a_signal_ends_the_shipper_after_the_waiting_events_are_delivered(place: Place, until: Until) -> None:
    for number in range(2000):
        place.emit(f"e{number:04d}")
    with following_ship(place) as shipper:
        until(lambda: describe_outbox(place.outbox).shipper, "a shipper")
        shipper.terminate()
        assert shipper.wait(60) == 0
    assert len(place.stored()) == 2000


def test_a_single_run_delivers_or_reports_the_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, until: Until
) -> None:
    place.emit("e1")
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}")
    failed = run_ship(place)
    assert failed.returncode == 1
    assert "events stay in" in failed.stderr
    assert "Traceback" not in failed.stderr
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{place.database}")
    with following_ship(place) as other:
        until(lambda: place.stored() == ["e1"], "the event")
        assert run_ship(place).returncode == 0  # another shipper delivers it
        other.send_signal(signal.SIGINT)
        assert other.wait(60) == 0
    place.emit("e2")
    assert run_ship(place).returncode == 0
    assert place.stored() == ["e1", "e2"]


def test_a_keeper_logs_once_that_its_outbox_is_unusable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    keeper = ShipperKeeper(tmp_path / "file" / "outbox")
    for _ in range(3):
        keeper.attend()
        keeper._next_look = 0.0
    keeper.close()
    assert [record.getMessage().split(":")[:2] for record in caplog.records] == [
        ["sagatrace", f" no shipper for {tmp_path}/file/outbox"]
    ]


def test_the_lock_file_holds_the_shipper_and_its_state(place: Place, until: Until) -> None:
    keeper = ShipperKeeper(place.outbox)
    keeper.attend()
    place.emit("e1")
    state = until(
        lambda: (shipper := describe_outbox(place.outbox).shipper) and shipper.delivered and shipper, "its word"
    )
    (process,) = place.shippers()
    assert (state.pid, state.delivered, state.set_aside, state.fault) == (process.pid, 1, 0, None)
    assert json.loads((place.outbox / "shipper.lock").read_text())["pid"] == process.pid
    keeper.close()
    assert describe_outbox(place.outbox).shipper is None


def test_a_worker_imports_neither_the_shipper_nor_its_dependencies() -> None:
    program = "import sagatrace.rq, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"sagatrace.shipper.shipper", "sqlite3", "azure"} & set(done.stdout.split()) == set()
