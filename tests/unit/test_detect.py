"""The terminal's abilities by the environment, and the clipboard through multiplexers."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from sagatrace_tui.terminal.detect import Terminal, clipboard_envelopes, detect, is_light


@pytest.mark.parametrize(
    ("env", "colors"),
    [
        ({"TERM": "xterm"}, 16),
        ({"TERM": "linux"}, 16),
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "screen-256color"}, 256),
        ({"TERM": "tmux-256color", "COLORTERM": "truecolor"}, 1 << 24),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
        *(({"TERM": name}, 1 << 24) for name in ("alacritty", "foot", "foot-extra", "wezterm", "rio", "contour")),
        ({"TERM": "rxvt-unicode-256color"}, 256),
        ({"TERM": "mlterm-direct"}, 1 << 24),
        *(({"TERM": name}, 1 << 24) for name in ("xterm-ghostty", "ghostty", "xterm-kitty", "xterm-direct")),
    ],
)
def test_colours(env: dict[str, str], colors: int) -> None:
    assert detect(env).colors == colors


@pytest.mark.parametrize(
    ("env", "multiplexer"),
    [
        ({"TERM": "xterm"}, ""),
        ({"TERM": "screen-256color", "TMUX": "/run/tmux/default,1,0"}, "tmux"),
        ({"TERM": "tmux-256color"}, "tmux"),
        ({"TERM": "screen", "STY": "1.pts"}, "screen"),
        ({"TERM": "screen-256color", "STY": "1.pts", "TMUX": "/run/tmux/default,1,0"}, "screen"),
        ({"TERM": "tmux-256color", "STY": "1.pts", "TMUX": "/run/tmux/default,1,0"}, "tmux"),
        ({"TERM": "screen-256color"}, "either"),
    ],
)
def test_multiplexers(env: dict[str, str], multiplexer: str) -> None:
    assert detect(env).multiplexer == multiplexer
    assert detect(env).holds_mouse is (multiplexer != "screen"), "GNU screen would hold Esc back"


def test_background_and_clipboard() -> None:
    assert detect({"TERM": "xterm", "COLORFGBG": "0;15"}).light
    assert not detect({"TERM": "xterm", "COLORFGBG": "15;default;0"}).light
    assert not detect({"TERM": "linux"}).copies
    assert not detect({"TERM": "linux"}).asks_background
    assert not detect({"TERM": "xterm", "COLORFGBG": "0;15"}).asks_background
    assert not detect({"TERM": "screen", "STY": "1.pts"}).asks_background
    assert detect({"TERM": "xterm"}).asks_background


@pytest.mark.parametrize(("known", "colors"), [(None, 16), (-1, 0), (8, 16), (256, 256), (1 << 24, 1 << 24)])
def test_colours_by_terminfo(tmp_path: Path, known: int | None, colors: int) -> None:
    if known is not None:
        _describe(tmp_path, "strange", known)
    # A process reads one description only: each in its own.
    code = "import os; from sagatrace_tui.terminal.detect import detect; print(detect(os.environ).colors)"
    env = {"TERM": "strange", "TERMINFO": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(colors)


def _describe(directory: Path, name: str, colors: int) -> None:
    """Write a compiled terminfo entry, in the format of term(5), with this number of colours and nothing else."""
    names, numbers = f"{name}|a terminal".encode() + b"\0", [*[-1] * 13, colors]
    header = struct.pack("<6h", 0o1036, len(names), 0, len(numbers), 0, 0)
    entry = header + names + bytes(len(names) % 2) + struct.pack(f"<{len(numbers)}i", *numbers)
    for letter in (name[0], f"{ord(name[0]):x}"):  # where Linux and where macOS look
        (directory / letter).mkdir()
        (directory / letter / name).write_bytes(entry)


@pytest.mark.parametrize(
    ("reply", "light"),
    [
        ("11;rgb:ffff/ffff/ffff", True),
        ("11;rgb:1e1e/1e1e/2e2e", False),
        ("11;rgb:f/f/d", True),
        ("11;rgba:0000/0000/0000/ffff", False),
        ("10;rgb:ffff/ffff/ffff", None),
        ("11;?", None),
    ],
)
def test_the_background_by_the_terminals_answer(reply: str, light: bool | None) -> None:
    assert is_light(reply) is light


@pytest.mark.parametrize(("name", "bce"), [("xterm-256color", True), ("screen", False), ("no-such-terminal", False)])
def test_erasing_in_colour_depends_on_the_terminal_s_description(name: str, bce: bool) -> None:
    # A process reads one description only: each in its own.
    code = "import os; from sagatrace_tui.terminal.detect import detect; print(detect(os.environ).bce)"
    ran = subprocess.run([sys.executable, "-c", code], env={"TERM": name}, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(bce)


def terminal(multiplexer: str) -> Terminal:
    return Terminal("xterm", False, 256, False, True, multiplexer, True)  # type: ignore[arg-type]


def test_the_clipboard_sequence_is_wrapped_for_each_multiplexer() -> None:
    sequence = "\x1b]52;c;" + "QUJD" * 500 + "\x07"
    assert list(clipboard_envelopes(sequence, terminal(""))) == [sequence]
    plain, wrapped = clipboard_envelopes(sequence, terminal("tmux"))
    assert plain == sequence
    assert wrapped == f"\x1bPtmux;\x1b{sequence}\x1b\\"
    (wrapped,) = clipboard_envelopes(sequence, terminal("screen"))
    assert list(clipboard_envelopes(sequence, terminal("either"))) == [sequence, wrapped]
    chunks = wrapped.removesuffix("\x1b\\").split("\x1b\\")
    assert "".join(chunk.removeprefix("\x1bP") for chunk in chunks) == sequence
    assert all(len(chunk) < 768 for chunk in chunks)
    assert len(chunks) == 3
