"""After bytes that no key sends, the app answers the next key. A crash is reported and has a failing status."""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pty_terminal import PtyTerminal

Command = Callable[..., list[str]]
CAUSE = "transfer_funds  CAUSE"
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
        terminal.read(quiet=1.3)  # what is torn is given up
        terminal.press("?", "Keys")
        terminal.press("\x1b", CAUSE)
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert terminal.is_restored


def strange(random_: random.Random) -> bytes:
    """Return random bytes, except those that end or stop the app or write a file."""
    pieces = [
        lambda: random_.randbytes(random_.randrange(1, 12)),
        lambda: (
            b"\x1b[<%d;%d;%d%c" % (random_.randrange(140), *random_.choices(range(200), k=2), random_.choice(b"Mm"))
        ),
        lambda: b"\x1b[M" + random_.randbytes(3),
        lambda: b"\x1b[%d;%d;%dM" % tuple(random_.choices(range(250), k=3)),
        lambda: b"\x1b[%d:%d;%d:%du" % tuple(random_.choices([97, 65, 3, 1 << 40, 55296, 106], k=4)),
        lambda: b"\x1b[200~" + random_.randbytes(20) + random_.choice([b"\x1b[201~", b""]),
        lambda: random_.choice([b"\x1b]11;", b"\x1bP", b"\x1b[?2048;2$y", b"\x1b[1;5A", b"\x1b[24;80R"]),
    ]
    data = b"".join(random_.choice(pieces)() for _ in range(random_.randrange(1, 8)))
    return re.sub(rb"[qQS\x03\x10\x11\x1a:]|113u|99;", b".", data)


@pytest.mark.parametrize("trace_id", [[], ["loan-2"]], ids=["list", "trace"])
def test_after_any_bytes_a_key_is_answered(store_url: str, trace_id: list[str], heavy: bool) -> None:
    random_ = random.Random(11)
    # Keys that leave do nothing here: by chance one would come.
    command = [sys.executable, str(Path(__file__).with_name("stays.py")), store_url, *trace_id]
    with PtyTerminal(command, size=(160, 40)) as terminal:
        terminal.until("loan-2")
        for number in range(1, (200 if heavy else 12) + 1):
            for _ in range(10):
                os.write(terminal.ours, strange(random_))
                terminal.read(quiet=0.01, limit=0.5)
            terminal.read(quiet=1.3)
            terminal.send("\x1b[24~")
            terminal.until(f"answered {number}")
        terminal.process.terminate()
        assert terminal.wait() == 128 + 15
        assert terminal.is_restored


def test_a_crash_restores_the_terminal_and_is_not_a_success(store_url: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("stays.py")), store_url, "loan-2"]
    for crash in ("\x1b[23~", "\x1b[21~"):
        with PtyTerminal(command, size=(160, 40)) as terminal:
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
