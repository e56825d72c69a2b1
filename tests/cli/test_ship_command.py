"""`sagatrace ship`: its delivery, its output, its exit status."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faults import stored
from sagatrace import TraceContext, Tracer
from sagatrace.outbox import Outbox
from sagatrace.segments import REFUSED
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.commands.ship import ship


def run(*arguments: str) -> Result:
    return CliRunner().invoke(ship, arguments, prog_name="sagatrace ship")


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Return the outbox of this store's workers, with one event."""
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    outbox = Outbox(tmp_path / "traces.db-outbox")
    Tracer(outbox).emit("ai:decision", TraceContext("T"), event_id="e1")
    return outbox


def test_ship_delivers_the_waiting_events_and_prints_their_number(outbox: Outbox, tmp_path: Path) -> None:
    done = run()
    assert (done.exit_code, done.stdout) == (0, f"1 events delivered to sqlite:///{tmp_path}/traces.db\n")
    assert stored(tmp_path / "traces.db") == [("T", "e1")]
    assert run().stdout.startswith("0 events delivered")


def test_dead_letters_are_reported_with_their_file(outbox: Outbox) -> None:
    with (outbox.directory / "events.jsonl").open("ab") as file:
        file.write(b"nonsense\n")
    assert f"1 events delivered to sqlite:///{outbox.directory.parent}/traces.db, 1 set aside in " in run().stdout
    assert (outbox.directory / DEAD_LETTERS).exists()


def test_a_store_that_fails_is_one_line_and_status_1_and_nothing_is_lost(outbox: Outbox, tmp_path: Path) -> None:
    (tmp_path / "traces.db").mkdir()
    failed = run()
    assert failed.exit_code == 1
    (line,) = failed.stderr.splitlines()
    assert "bytes stay in" in line
    assert "cannot use the store" in line
    (tmp_path / "traces.db").rmdir()
    assert run().stdout.startswith("1 events delivered")


def test_ship_does_not_disturb_another_shipper(outbox: Outbox) -> None:
    other = Shipper(outbox.directory, MemoryStore())
    with other._locked():
        done = run()
    other.close()
    assert (done.exit_code, done.stdout.startswith("another process delivers /")) == (0, True)


def test_a_missing_directory_is_not_an_outbox(outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typo = tmp_path / "typo" / "outbox"
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(typo))
    result = run()
    assert (result.exit_code, result.stdout.split(": ")[1].startswith(f"there is no outbox {typo}/")) == (0, True)
    command = [sys.executable, "-P", "-m", "sagatrace.shipper", str(typo)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"there is no outbox {typo}" in done.stderr
    assert not typo.parent.exists()


def test_each_store_s_events_are_delivered_only_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("SAGATRACE_STORE", one)
    monkeypatch.setenv("SAGATRACE_OUTBOX", str(tmp_path / "outbox"))
    Tracer().emit("ai:decision", TraceContext("T"), event_id="e1")
    assert run("--store", other).stdout.startswith(f"0 events delivered to {other}")
    assert not (tmp_path / "other.db").exists()
    assert run().stdout == f"1 events delivered to {one}\n"


def test_ship_with_the_outbox_switched_off_is_wrong_usage(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGATRACE_OUTBOX", "off")
    before = set(threading.enumerate())  # an earlier test's thread may still be ending
    done = run()
    assert done.exit_code == 2
    assert "SAGATRACE_OUTBOX" in done.stderr
    assert set(threading.enumerate()) <= before


def test_dead_letters_are_sent_again_and_counted(outbox: Outbox, tmp_path: Path) -> None:
    letter = '{"at":"t","reason":"r","event":' + (outbox.directory / "events.jsonl").read_text().strip()[9:-1] + "}"
    (outbox.directory / "events.jsonl").unlink()
    (outbox.directory / DEAD_LETTERS).write_text(f'{letter}\n{{"at":"t","reason":"r","text":"nonsense"}}\n')
    done = run("--resend")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "1 dead letters put back into the outbox",
            f"1 dead letters are not events and stay in {outbox.directory / DEAD_LETTERS}",
            f"1 events delivered to sqlite:///{tmp_path}/traces.db",
        ],
    )
    assert stored(tmp_path / "traces.db") == [("T", "e1")]


def test_dead_letters_are_put_back_beside_another_shipper(outbox: Outbox) -> None:
    """A worker's shipper, which runs all the time, delivers them."""
    other = Shipper(outbox.directory, MemoryStore())
    with other._locked():
        done = run("--resend")
    other.close()
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "0 dead letters put back into the outbox")


def test_refusals_are_acknowledged(outbox: Outbox) -> None:
    (outbox.directory / REFUSED).write_bytes(b"...")
    assert run("--acknowledge").stdout == "3 refused events acknowledged: they are lost\n"
    assert run("--acknowledge").stdout == "0 refused events acknowledged\n"
    assert (outbox.directory / "events.jsonl").exists()
    assert run("--acknowledge", "--follow").exit_code == 2
