"""When events are on the disk: with SAGATRACE_FSYNC on return, and always before their segment is removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outboxes import event
from sagatrace import TraceContext, Tracer
from sagatrace.errors import SettingsError
from sagatrace.outbox import Outbox
from sagatrace.segments import ACTIVE, seal, sealed_segments
from sagatrace.settings import Settings
from sagatrace.shipper.__main__ import main
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores import open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace.stores.sqlite import SqliteStore
from sagatrace_tui.commands.ship import ship

NORMAL, FULL = 1, 2


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record the calls that write files through to the disk, or remove them, in order."""
    calls: list[tuple[str, str]] = []
    fsync, unlink, write = os.fsync, Path.unlink, os.write

    def name_of(file: int) -> str:
        return Path(f"/proc/self/fd/{file}").readlink().name

    def noted_fsync(file: int) -> None:
        calls.append(("fsync", name_of(file)))
        fsync(file)

    def noted_unlink(path: Path, *arguments: Any, **options: Any) -> None:
        calls.append(("unlink", path.name.partition("-0")[0]))
        unlink(path, *arguments, **options)

    def noted_write(file: int, data: bytes) -> int:
        calls.append(("write", name_of(file)))
        return write(file, data)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "unlink", noted_unlink)
    monkeypatch.setattr(os, "write", noted_write)
    return calls


def test_with_the_setting_an_event_is_on_the_disk_on_return(tmp_path: Path, done: list[tuple[str, str]]) -> None:
    outbox = Outbox(tmp_path / "outbox", fsync=True)
    outbox.append([event("e1")])
    # The new directory in its parent, the event, and the new file in its directory.
    created = [("write", ACTIVE), ("fsync", ACTIVE), ("fsync", "outbox")]
    assert done == [("fsync", tmp_path.name), *created]
    done.clear()
    outbox.append([event("e2"), event("e3")])
    assert done == [("write", ACTIVE), ("fsync", ACTIVE)]
    seal(outbox.directory)
    done.clear()
    outbox.append([event("e5")])
    assert done == created  # which also writes the new name of the sealed file


def test_without_the_setting_no_append_waits_for_the_disk(tmp_path: Path, done: list[tuple[str, str]]) -> None:
    Outbox(tmp_path / "outbox").append([event("e1")])
    assert done == [("write", ACTIVE)]


def test_a_disk_that_does_not_accept_an_event_loses_only_that_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    tracer = Tracer(Outbox(tmp_path, fsync=True))
    monkeypatch.setattr(os, "fsync", failing)
    assert tracer.emit("ai:decision", TraceContext("T")) is None
    assert list(tracer.lost) == ["event lost: OSError 5"]


@pytest.mark.parametrize(("setting", "level"), [("", NORMAL), ("off", NORMAL), ("on", FULL)])
def test_the_setting_decides_for_tracers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, level: int, synchronous: list[int]
) -> None:
    monkeypatch.setenv("SAGATRACE_FSYNC", setting)
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    assert Tracer().emit("ai:decision", TraceContext("T"))
    assert Tracer(f"sqlite:///{tmp_path}/other.db").emit("ai:decision", TraceContext("T"))
    assert synchronous == [level, level]


def test_the_setting_decides_for_an_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: list[tuple[str, str]]
) -> None:
    monkeypatch.setenv("SAGATRACE_FSYNC", "on")
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    assert Tracer().emit("ai:decision", TraceContext("T"))
    assert ("fsync", ACTIVE) in done


def test_a_wrong_value_of_the_setting_is_named() -> None:
    assert Settings.from_env({"SAGATRACE_FSYNC": "on"}).fsync
    with pytest.raises(SettingsError, match="SAGATRACE_FSYNC='yes' is neither `on` nor `off`"):
        Settings.from_env({"SAGATRACE_FSYNC": "yes"})


@pytest.fixture
def synchronous(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record SQLite's `synchronous` mode at each append."""
    levels: list[int] = []
    append = SqliteStore.append

    def noted(store: SqliteStore, events: Any, replace: bool = False) -> int:
        new = append(store, events, replace)
        level = store._with_connection(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0])
        levels.append(level)
        return new

    monkeypatch.setattr(SqliteStore, "append", noted)
    return levels


def run_module(directory: Path) -> None:
    assert main([str(directory)]) == 0


def run_command(directory: Path) -> None:
    assert CliRunner().invoke(ship, []).exit_code == 0, directory


@pytest.mark.parametrize("run", [run_module, run_command])
def test_every_shipper_commits_to_the_disk_before_a_segment_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Path], None], synchronous: list[int]
) -> None:
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    umask = os.umask(0o077)  # which the module changes
    try:
        Outbox(tmp_path / "traces.db-outbox").append([event("e1")])
        run(tmp_path / "traces.db-outbox")
    finally:
        os.umask(umask)
    assert synchronous == [FULL]
    assert open_store(f"sqlite:///{tmp_path}/traces.db").fetch_trace("T").events[0].id == "e1"


def test_a_dead_letter_that_does_not_reach_the_disk_keeps_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ACTIVE).write_bytes(b"nonsense\n")
    fsync = os.fsync

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    shipper = Shipper(tmp_path, MemoryStore())
    assert "Input/output error" in str(shipper.run_once().fault)
    assert len(sealed_segments(tmp_path)) == 1
    monkeypatch.setattr(os, "fsync", fsync)
    assert shipper.run_once().fault is None
    shipper.close()
    assert sealed_segments(tmp_path) == []


def test_a_dead_letter_is_on_the_disk_before_its_segment_is_removed(
    tmp_path: Path, done: list[tuple[str, str]]
) -> None:
    (tmp_path / ACTIVE).write_bytes(b"nonsense\n")
    shipper = Shipper(tmp_path, MemoryStore())
    shipper.run_once()
    shipper.close()
    assert [call for call in done if call[0] != "write"] == [
        ("fsync", DEAD_LETTERS),
        ("fsync", tmp_path.name),
        ("unlink", "sealed"),
    ]
