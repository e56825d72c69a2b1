"""A store whose answer never comes: Ctrl-C ends every command with status 130, and the app can be left."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pty_terminal import PtyTerminal

Command = Callable[..., list[str]]
ENDLESS = """
CREATE VIEW event AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT i AS position, 'T' AS trace_id, 'e' || i AS id, i AS at, '{}' AS document FROM n WHERE i < 0;
PRAGMA user_version = 1;
"""
READING = [
    ["list"],
    ["groups"],
    ["standing"],
    ["show", "T"],
    ["why", "T"],
    ["diff", "T"],
    ["export", "T"],
    ["tail", "T"],
    ["tail"],
    ["doctor"],
    ["doctor", "--no-write"],
    ["sagatrace-tui"],
    ["sagatrace-tui", "T"],
]


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Return the path of a database whose query never ends and returns no row."""
    path = tmp_path / "endless.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(ENDLESS)
    return path


def has_open(process: subprocess.Popen[bytes], path: Path) -> bool:
    """Return whether the process has this file open."""
    wanted = path.stat()
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            found = link.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_ctrl_c_ends_a_command_that_reads_without_end(endless: Path, tmp_path: Path, arguments: list[str]) -> None:
    is_app = arguments[0] == "sagatrace-tui"
    called = "import sagatrace_tui.cli as c; c.tui_main()" if is_app else "import sagatrace_tui.cli as c; c.main()"
    command = [sys.executable, "-c", called, *arguments[is_app:], "--store", f"sqlite:///{endless}"]
    with PtyTerminal(command, env={"HOME": str(tmp_path)}) as terminal:
        terminal.until_true(lambda: has_open(terminal.process, endless), "the store is never opened")
        terminal.send("\x03")
        assert terminal.wait() == 130
        assert b"Traceback" not in terminal.raw
        assert terminal.is_restored


@pytest.mark.parametrize("trace_id", [[], ["loan-2"]], ids=["list", "trace"])
def test_the_app_can_be_left_while_a_query_has_no_end(
    tui: Command, store_url: str, endless: Path, trace_id: list[str]
) -> None:
    with PtyTerminal(tui(*trace_id)) as terminal:
        terminal.until("InsufficientF")
        path = Path(store_url.removeprefix("sqlite:///"))
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        os.replace(endless, path)  # noqa: PTH105 - the test is about this one call
        terminal.until_true(lambda: has_open(terminal.process, path), "the new file is never opened")
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert terminal.is_restored
