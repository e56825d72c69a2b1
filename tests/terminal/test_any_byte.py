"""After bytes that no key sends, the app answers the next key. A crash is reported and has a failing status."""

from __future__ import annotations

import os
import random
import re
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pty_terminal import PtyTerminal
from strange_bytes import strange

Command = Callable[..., list[str]]
CAUSE = "transfer_funds  CAUSE"
GIVEN_UP = 3.0
"""Seconds after which a torn sequence or paste is given up (1 s), also on a busy machine."""
HOSTILE = [
    b"\xa4",
    b"\xe9",
    b"\x1b[M \xa0\x30\x1b[M#\xa0\x30",
    b"\x1b[97:65;2u",
    b"\x1b[99999999999;1u",
    b"\x1b[48;0;0;0;0t\x1b[<0;5;5M",
    b"\x1b[200~torn",
    b"\x1b]11;rgb:",
    b"\x1b[5q",
]


@pytest.mark.parametrize("sent", HOSTILE, ids=repr)
def test_no_byte_ends_the_app(tui: Command, sent: bytes) -> None:
    with PtyTerminal(tui("loan-2"), size=(160, 40)) as terminal:
        terminal.until(CAUSE)
        os.write(terminal.ours, sent)
        terminal.read(quiet=GIVEN_UP, limit=GIVEN_UP)
        terminal.press("?", "Keys")
        terminal.press("\x1b", CAUSE)
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert terminal.is_restored


ENDS_ALL = b"\x1b[201~\x1b[24~"
"""The end of any paste or sequence that is torn, and F12."""
OWN_SIZE = b"\x1b[?2048;2$y\x1b[48;24;80;480;800t"
"""The terminal's own size: among strange bytes are reports of others."""


def pour(terminal: PtyTerminal, data: bytes) -> None:
    """Send more than a terminal holds, and read meanwhile."""
    os.set_blocking(terminal.ours, False)
    while data:
        readable, writable, _ = select.select([terminal.ours], [terminal.ours], [], 60)
        if readable:
            terminal.raw += os.read(terminal.ours, 1 << 16)
        if writable:
            data = data[os.write(terminal.ours, data[:1024]) :]
    os.set_blocking(terminal.ours, True)


def answered(terminal: PtyTerminal) -> int:
    """Return the number of the last answer in the title."""
    found = re.findall(rb"\x1b\]2;answer (\d+)\x07", terminal.raw)
    return int(found[-1]) if found else 0


@pytest.mark.parametrize("trace_id", [[], ["loan-2"]], ids=["list", "trace"])
@pytest.mark.timeout(0)
def test_after_any_bytes_a_key_is_answered(store_url: str, tmp_path: Path, trace_id: list[str], heavy: bool) -> None:
    """With `--heavy` 200 000 strings in all; a key follows each, and has an answer of its own."""
    random_ = random.Random(f"strange {trace_id}")
    command = [sys.executable, str(Path(__file__).with_name("stays.py")), store_url, *trace_id]
    # Among the keys is one that saves a file in the working directory.
    with PtyTerminal(["env", f"--chdir={tmp_path}", *command], size=(80, 24)) as terminal:
        terminal.until("loan-2")
        batches = 1000 if heavy else 3
        for batch in range(1, batches + 1):
            strings = [strange(random_) for _ in range(100)]
            pour(terminal, b"".join(string + ENDS_ALL for string in strings) + OWN_SIZE)
            deadline = time.monotonic() + 300
            while (count := answered(terminal)) < 100 * batch:
                at = f"after {count} answers: {strings[count % 100]!r}"
                assert time.monotonic() < deadline, at
                assert terminal.process.poll() is None, at
                if select.select([terminal.ours], [], [], 1)[0]:
                    terminal.raw += os.read(terminal.ours, 1 << 16)
            del terminal.raw[:-10_000]
        pour(terminal, strange(random_) + b"\x1b[200~torn")
        terminal.read(quiet=GIVEN_UP, limit=GIVEN_UP)
        assert answered(terminal) >= 100 * batches  # a random string can be the counted key too
        terminal.press("\x1b[20~", f"answered {answered(terminal)}")
        terminal.process.terminate()
        assert terminal.wait() == 128 + 15
        assert terminal.is_restored


def test_a_crash_restores_the_terminal_and_is_not_a_success(store_url: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("stays.py")), store_url, "loan-2"]
    for crash in ("\x1b[23~", "\x1b[21~"):
        with PtyTerminal(command, size=(160, 40), env={"MAY_CRASH": "yes"}) as terminal:
            terminal.until(CAUSE)
            terminal.send(crash)
            assert terminal.wait() == 1
            assert terminal.is_restored
            assert b"\x1b[?1049l" in terminal.raw
            assert b"made to fail" in terminal.raw


def test_m_releases_the_mouse_and_captures_it_again(tui: Command) -> None:
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE)
        assert b"\x1b[?1003l" not in terminal.raw
        terminal.press("m", "The mouse selects text")
        assert b"\x1b[?1003l" in terminal.raw
        terminal.press("m", "The mouse works in the app again")
        assert terminal.raw.rindex(b"\x1b[?1003h") > terminal.raw.rindex(b"\x1b[?1003l")
        terminal.send("\x03")
        assert terminal.wait() == 0


@pytest.mark.parametrize("env", [{"TERM": "screen", "STY": "1.pts"}, {"TERM": "linux"}], ids=["screen", "linux"])
def test_a_terminal_without_an_alternate_screen_is_left_empty(tui: Command, env: dict[str, str | None]) -> None:
    with PtyTerminal(tui("loan-2"), env=env) as terminal:
        terminal.until(CAUSE)
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert not terminal.text.strip(), "a frame that stays looks like an app that does not answer"
        assert terminal.raw.rindex(b"\x1b[J") < terminal.raw.rindex(b"\x1b[?1049l")


def test_in_gnu_screen_the_mouse_is_off_until_m_because_screen_would_hold_escape_back(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), env={"TERM": "screen", "STY": "1.pts"}) as terminal:
        terminal.until(CAUSE)
        assert not re.search(rb"\x1b\[\?100[0-3]h", terminal.raw)
        terminal.press("m", "The mouse works in the app. In GNU screen, Esc waits for the next key")
        assert b"\x1b[?1003h" in terminal.raw
        terminal.press("w\x1bc", "STILL STANDING")  # screen sends Esc and the next key as one
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert terminal.raw.rindex(b"\x1b[?1003l") > terminal.raw.rindex(b"\x1b[?1003h")
