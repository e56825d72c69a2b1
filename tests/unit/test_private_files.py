"""Only their user may use new files and directories, with any umask. Existing ones keep their mode."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults import in_child
from sagatrace import TraceContext, Tracer, open_store
from sagatrace.errors import OutboxFullError
from sagatrace.event import new_event
from sagatrace.files import make_directory
from sagatrace.outbox import Outbox
from sagatrace.shipper.dead_letters import DeadLetters
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.stores import Search
from sagatrace_tui.demo import start_demo
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.screens.clipboard import save_text

STRANGER = 65533
USER = 65534


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_to_others(directory: Path) -> list[str]:
    """Return the files and directories below that other users may use, without sockets."""
    found = []
    for path in directory.rglob("*"):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            mode, wanted = stat.S_IMODE(status.st_mode), 0o700 if path.is_dir() else 0o600
            if mode != wanted:
                found.append(f"{path} has mode {mode:o}")
    return found


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*")}


def test_a_store_and_the_files_beside_it_are_private(tmp_path: Path, umask: int) -> None:
    store = open_store(f"sqlite:///{tmp_path}/a/b/traces.db")
    Tracer(store).emit("ai:decision", TraceContext("T"))
    assert names(tmp_path) == {"a", "b", "traces.db", "traces.db-wal", "traces.db-shm"}
    assert open_to_others(tmp_path) == []
    store.close()


def test_a_store_behind_a_dangling_link_is_private(tmp_path: Path, umask: int) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "traces.db")
    store = open_store(f"sqlite:///{tmp_path}/link.db")
    Tracer(store).emit("ai:decision", TraceContext("T"))
    store.close()
    assert open_to_others(tmp_path) == []


def test_existing_files_keep_their_mode(tmp_path: Path, umask: int) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    kept.chmod(0o755)
    (kept / "traces.db").touch()
    (kept / "traces.db").chmod(0o644)
    store = open_store(f"sqlite:///{kept}/traces.db")
    Tracer(store).emit("ai:decision", TraceContext("T"))
    store.close()
    Outbox(kept).append([new_event(trace_id="T", span_id="S", event_type="x")])
    assert stat.S_IMODE(kept.stat().st_mode) == 0o755
    assert stat.S_IMODE((kept / "traces.db").stat().st_mode) == 0o644


def test_an_outbox_and_all_its_files_are_private(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/c/traces.db")
    directory = tmp_path / "a" / "b" / "outbox"
    event = new_event(trace_id="T", span_id="S", event_type="x")
    with pytest.raises(OutboxFullError):
        Outbox(directory, max_bytes=10).append([event])
    keeper = ShipperKeeper(directory)
    keeper.attend()
    DeadLetters(directory).add(b"text", "reason")
    Outbox(directory).append([event])
    until((tmp_path / "c" / "traces.db").exists, "the store")
    assert {"refused", "dead-letters.jsonl", "users.lock", "shipper.lock", "shipper.log"} <= names(directory)
    assert open_to_others(tmp_path) == []
    keeper.close()


def test_the_app_s_own_files_are_private(tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    QueryHistory(tmp_path / "state" / "sagatrace" / "recent-queries").add("status:failed")
    save_text("a summary", "T")
    assert names(tmp_path) == {"state", "sagatrace", "recent-queries", "sagatrace-T.md"}
    assert open_to_others(tmp_path) == []


def test_a_demo_is_private(umask: int, until: Callable[..., Any]) -> None:
    demo = start_demo()
    with demo:
        store = open_store(demo.store_url, read_only=True)
        until(lambda: store.search(Search(limit=1)) or demo.failure(), "the first trace")
        assert demo.failure() is None
        assert {"traces.db", "redis.log", "shipper.log"} <= names(demo.directory)
        assert any(name.startswith("worker-") for name in names(demo.directory))
        assert open_to_others(demo.directory) == []
        store.close()


@pytest.fixture
def shared() -> Iterator[Path]:
    """Create a directory that every user may use. Those of pytest are private."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


def as_user(number: int, work: Callable[[], object]) -> int:
    def changed() -> None:
        os.setgroups([])
        os.setgid(number)
        os.setuid(number)
        work()

    return in_child(changed)


def refused(path: Path, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return True
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_another_user_can_neither_read_nor_write_events(shared: Path, umask: int) -> None:
    made = [shared / name for name in ("traces.db", "app/traces.db", "outbox/events.jsonl")]

    def emit() -> None:
        for target in (open_store(f"sqlite:///{made[0]}"), open_store(f"sqlite:///{made[1]}"), Outbox(made[2].parent)):
            Tracer(target).emit("ai:decision", TraceContext("T"))
        # It ends without a close, so the files beside the stores exist.

    def look() -> None:
        files = [*made, *(path.with_name(path.name + end) for path in made[:2] for end in ("-wal", "-shm"))]
        tried = {(path, flags): refused(path, flags) for path in files for flags in (os.O_RDONLY, os.O_RDWR)}
        assert all(tried.values()), tried
        assert refused(made[1].parent, os.O_RDONLY)
        assert refused(made[2].parent / "new", os.O_WRONLY | os.O_CREAT)

    def read() -> None:
        store = open_store(f"sqlite:///{made[1]}", read_only=True)
        assert len(store.fetch_trace("T").events) == 1
        os._exit(7)

    assert as_user(USER, emit) == 0
    assert as_user(STRANGER, look) == 0
    assert as_user(USER, read) == 7


def test_a_directory_that_cannot_be_made_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            make_directory(path)
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
