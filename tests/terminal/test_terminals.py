"""The app in real pseudo-terminals of every kind. Every way to end it restores the terminal."""

from __future__ import annotations

import base64
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from textual.color import Color

from contrast import contrast
from pty_terminal import PtyTerminal
from sagas import failed
from sagatrace.stores import open_store

Command = Callable[..., list[str]]
CAUSE = "transfer_funds  CAUSE"
KINDS: dict[str, dict[str, str | None]] = {
    "xterm": {"TERM": "xterm", "COLORTERM": None},
    "xterm-256color": {"TERM": "xterm-256color", "COLORTERM": None},
    "screen-256color": {"TERM": "screen-256color", "COLORTERM": None},
    "tmux-256color": {"TERM": "tmux-256color", "TMUX": "/nowhere,1,0"},
    "linux": {"TERM": "linux", "COLORTERM": None},
    "truecolor": {},
    "no colour": {"NO_COLOR": "1"},
    "light": {"COLORFGBG": "0;15"},
}
COLORS = re.compile(rb"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 12)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_terminal_shows_the_cause_in_its_own_colours(tui: Command, kind: str, size: tuple[int, int]) -> None:
    with PtyTerminal(tui("loan-2"), size=size, env=KINDS[kind]) as terminal:
        terminal.until(CAUSE[:21], "rollback incomplete")
        terminal.until_true(lambda: "q Back" in terminal.text.splitlines()[-1], "no hints in the last line")
        styles = b"".join(COLORS.findall(bytes(terminal.raw)))
        truecolor, indexed = b"8;2;" in styles, b"8;5;" in styles
        assert truecolor is (kind in ("truecolor", "light", "tmux-256color"))
        assert indexed is (kind in ("xterm-256color", "screen-256color"))
        if kind == "no colour":
            codes = set(b";".join(style[2:-1] for style in COLORS.findall(bytes(terminal.raw))).split(b";"))
            assert codes <= {b"", b"0", b"1", b"2", b"3", b"4", b"7", b"22", b"39", b"49"}
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert terminal.is_restored


def test_the_row_under_the_cursor_can_be_read_in_256_colours(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), env=KINDS["xterm-256color"]) as terminal:
        terminal.until(CAUSE, "q Back")
        row = next(row for row in terminal.cells if row[0].data == "▌")
        read = {(cell.fg, cell.bg) for cell in row[:60] if cell.data.isalpha()}
        assert read
        assert all(contrast(Color.parse(f"#{fg}"), Color.parse(f"#{bg}")) >= 4.5 for fg, bg in read), read
        terminal.send("\x03")
        assert terminal.wait() == 0


def test_the_selected_text_is_visible_without_colours(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), size=(80, 24), env=KINDS["no colour"]) as terminal:
        terminal.until(CAUSE)
        terminal.press("/cred", "3 of 3 spans")
        assert not _underlined(terminal)
        terminal.press("\r", "Enter Detail")
        terminal.press("/", "Enter Back to tree")
        assert _underlined(terminal) == "cred"
        terminal.send("\x03")
        assert terminal.wait() == 0


def _underlined(terminal: PtyTerminal) -> str:
    return "".join(cell.data for row in terminal.cells for cell in row if cell.underscore)


def test_a_locale_without_unicode_gets_ascii_and_nothing_else(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), size=(80, 24), env={"LC_ALL": "C"}) as terminal:
        text = terminal.until(CAUSE, "+-- x release_credit")
        assert "v x workflow:loan-approval" in text
        terminal.press("?", "Keys")
        terminal.send("\x03")
        assert terminal.wait() == 0
        assert bytes(terminal.raw).isascii()


EARLY = """
import os, signal
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.cli import tui_main
first = SagatraceApp.get_default_screen
def interrupted(self):
    os.kill(os.getpid(), signal.SIGINT)
    return first(self)
SagatraceApp.get_default_screen = interrupted
tui_main()
"""


def test_an_interrupt_while_the_app_starts_ends_it_with_the_status_of_one(store_url: str) -> None:
    with PtyTerminal([sys.executable, "-c", EARLY, "--store", store_url]) as terminal:
        assert terminal.wait() == 128 + signal.SIGINT
        assert terminal.is_restored


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_ends_the_app_and_restores_the_terminal(tui: Command, number: signal.Signals) -> None:
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE)
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.is_restored
        assert bytes(terminal.raw).endswith(b"\x1b[?1006l")
        assert b"\x1b[?1049l" in terminal.raw


def test_a_terminal_that_is_gone_leaves_no_process(tui: Command) -> None:
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE)
        tree = psutil.Process(terminal.process.pid)
        family = [tree, *tree.children(recursive=True)]
        terminal.hang_up("ours")
        terminal.hang_up("theirs")
        terminal.wait()
        assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_ctrl_c_ends_the_app_also_if_the_terminal_does_not_read(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), size=(200, 60)) as terminal:
        terminal.until("CAUSE")
        fills = os.open(os.ttyname(terminal.theirs), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with suppress(BlockingIOError):
            while True:
                os.write(fills, b"x" * 1000)
        os.close(fills)
        terminal.send("c1" * 100 + "\x03")
        assert terminal.process.wait(timeout=60) in (0, 1)
        assert terminal.is_restored


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in a script"])
def test_ctrl_z_returns_to_the_shell_and_fg_draws_the_screen_again(tui: Command, wrapped: bool) -> None:
    shell = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"]
    with PtyTerminal(shell, env={"PS1": "shell> "}) as terminal:
        terminal.until("shell>")
        modes = termios.tcgetattr(terminal.theirs)
        command = shlex.join(tui("loan-2"))
        terminal.send(f"{shlex.join(['sh', '-c', f'{command}; true']) if wrapped else command}\n")
        terminal.until(CAUSE)
        *_, app = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.send("\x1a")
        terminal.until("Stopped")
        assert app.status() == psutil.STATUS_STOPPED
        assert not app.children(), "nothing that was only to try is left"
        assert termios.tcgetattr(terminal.theirs) == modes
        assert b"\x1b[?1049l" in terminal.raw
        before = len(terminal.raw)
        terminal.send("fg\n")
        for text in (b"transfer_funds", b"CAUSE"):
            terminal.until_true(lambda text=text: text in terminal.raw[before:], f"not drawn again: {text!r}")  # type: ignore[misc]
        terminal.send("q")
        terminal.until("VERDICT")
        terminal.send("q")
        terminal.until_true(lambda: not app.is_running(), "the app did not end")  # it may still have to write


def test_a_stop_without_notice_leaves_one_reader_and_the_mode_of_the_terminal(tui: Command) -> None:
    """As by `kill -STOP`: Textual cannot leave the screen before it."""
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE)
        app = psutil.Process(terminal.process.pid)
        for _ in range(2):
            app.suspend()
            terminal.until_true(lambda: app.status() == psutil.STATUS_STOPPED, "the app did not stop")
            before = len(terminal.raw)
            app.resume()
            for text in (b"transfer_funds", b"CAUSE"):
                terminal.until_true(lambda text=text: text in terminal.raw[before:], f"not drawn again: {text!r}")  # type: ignore[misc]  # noqa: B023
        terminal.press("q", "VERDICT")  # with a second thread that reads the terminal, the app ended with status 129
        terminal.send("q")
        assert terminal.wait() == 0
        assert terminal.is_restored


@pytest.mark.parametrize("name", ["SIGCONT", "SIGTSTP"])
def test_a_signal_in_the_middle_of_a_write_does_not_block_the_app(store_url: str, name: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("signaled.py")), name, store_url, "loan-2"]
    with PtyTerminal(command) as terminal:
        terminal.until(CAUSE)
        terminal.send("?")
        if name == "SIGTSTP":
            app = psutil.Process(terminal.process.pid)
            terminal.until_true(lambda: app.status() == psutil.STATUS_STOPPED, "the app did not stop")
            assert terminal.is_restored
            app.resume()
        terminal.until("Keys and signs")
        terminal.press("\x1b", CAUSE)
        terminal.send("\x03")
        assert terminal.wait() == 0


def test_ctrl_z_does_not_suspend_without_a_parent_shell(tui: Command) -> None:
    """As with `ssh -t HOST sagatrace-tui`: a stopped app could only be left by ending the connection."""
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE)
        terminal.send("\x1a")
        terminal.until("Cannot suspend", CAUSE)
        assert psutil.Process(terminal.process.pid).status() != psutil.STATUS_STOPPED
        terminal.press("?", "Keys")
        terminal.send("\x1a")
        terminal.press("\x1b", CAUSE)
        terminal.press("q", "VERDICT")
        terminal.send("q")
        assert terminal.wait() == 0
        assert terminal.is_restored


def test_a_resize_draws_for_the_new_size(tui: Command) -> None:
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE, "Traceback")
        terminal.resize(60, 14)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.until("q Back", "transfer_funds")
        text = terminal.until_true(lambda: "Traceback" not in terminal.text, "the detail has room still")
        assert all(len(line) <= 60 for line in text.splitlines())
        terminal.resize(120, 40)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        terminal.until("Traceback", CAUSE)


def test_without_a_usable_terminal_the_app_says_what_to_do(tui: Command) -> None:
    ran = subprocess.run(tui("loan-2"), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "sagatrace why" in ran.stderr
    with PtyTerminal(tui("loan-2"), env={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 1
        assert b"sagatrace why" in terminal.raw
        assert b"\x1b" not in terminal.raw


def test_an_unknown_theme_is_refused(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), env={"SAGATRACE_THEME": "dar\x1b[31mk"}) as terminal:
        assert terminal.wait() == 2
        assert b"SAGATRACE_THEME='dar\\x1b[31mk' is not a theme: " in terminal.raw
        assert b" dark, " in terminal.raw
        assert b"\x1b" not in terminal.raw


def test_the_screen_is_drawn_while_standard_error_goes_to_a_file(tui: Command, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    command = ["sh", "-c", f'exec "$@" 2>{shlex.quote(str(errors))}', "sh", *tui("loan-2")]
    with PtyTerminal(command) as terminal:
        terminal.until("CAUSE")
        terminal.send("\x03")
        terminal.wait()
    assert errors.read_bytes() == b""


def test_the_list_waits_for_a_missing_store_and_a_trace_does_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/later.db"
    command = [sys.executable, "-m", "sagatrace_tui", "--store", url]
    with PtyTerminal(command, size=(120, 40)) as terminal:
        terminal.until("No store yet", "a traced worker")
        store = open_store(url)
        store.append(failed("loan-2", 20))
        store.close()
        terminal.until("rollback incomplete")
        terminal.send("q")
        assert terminal.wait() == 0
    with PtyTerminal([*command[:-1], f"sqlite:///{tmp_path}/never.db", "loan-2"]) as terminal:
        assert terminal.wait() == 1
        assert b"no store at" in terminal.raw


@pytest.mark.parametrize("trace_id", [[], ["loan-2"]], ids=["list", "trace"])
def test_a_store_that_never_answers_is_reported_and_does_not_block_quitting(trace_id: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"cosmos://127.0.0.1:{deaf.getsockname()[1]}/sagas/events"
        env = {"SAGATRACE_COSMOS_KEY": "a2V5", "SAGATRACE_COSMOS_TLS": "off", "SAGATRACE_MAX_WAIT": "3000"}
        command = [sys.executable, "-m", "sagatrace_tui", "--store", url, *trace_id]
        with PtyTerminal(command, size=(80, 24), env=env) as terminal:
            waits = r"reading, \d+ s · Esc cancels" if trace_id else r"Reading, \d+ s"
            terminal.until_true(lambda: re.search(waits, terminal.text), f"never shown: {waits}")
            terminal.send("\x03")
            assert terminal.wait() == 0  # long before the read gives up
            assert terminal.is_restored


def copied(raw: bytes) -> list[str]:
    return [base64.b64decode(text).decode() for text in re.findall(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07", raw)]


def test_y_copies_the_value_and_capital_y_the_incident_summary(tui: Command) -> None:
    with PtyTerminal(tui("loan-2")) as terminal:
        terminal.until(CAUSE)
        terminal.press("y", "Copied the span id, 3 characters")
        assert copied(bytes(terminal.raw)) == ["fuj"]
        terminal.press("Y", "Copied the summary")
        text = copied(bytes(terminal.raw))[1]
        assert text.startswith("**rollback incomplete** — `loan-2`")
        assert "InsufficientFunds: balance 1200 < 25000" in text


def test_inside_tmux_the_clipboard_is_reached_both_ways(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), env=KINDS["tmux-256color"]) as terminal:
        terminal.until(CAUSE)
        terminal.press("y", "Copied the span id")
        assert b"\x1bPtmux;\x1b\x1b]52;c;ZnVq\x07\x1b\\" in terminal.raw
        assert b"\x1b]52;c;ZnVq\x07" in terminal.raw.replace(b"\x1b\x1b]52", b"")


def test_a_long_copy_that_screen_may_have_drawn_is_overdrawn(tui: Command) -> None:
    with PtyTerminal(tui("loan-2"), env={**KINDS["screen-256color"], "STY": None}) as terminal:
        terminal.until(CAUSE)
        before = len(terminal.raw)
        terminal.press("Y", "Copied the summary")
        for text in (b"transfer_funds", b"workflow:loan-approval"):
            terminal.until_true(
                lambda text=text: text in terminal.raw[before:].rpartition(b"\x07")[2],  # type: ignore[misc]
                f"not drawn again after the copy: {text!r}",
            )
        assert "transfer_funds  CAUSE" in terminal.text


def test_without_a_clipboard_a_file_is_offered_and_written(tui: Command, tmp_path: Path) -> None:
    with PtyTerminal(["env", f"--chdir={tmp_path}", *tui("loan-2")], env=KINDS["linux"]) as terminal:
        terminal.until(CAUSE)
        terminal.press("Y", "No clipboard in this terminal (linux): S saves it")
        assert b"]52;" not in terminal.raw
        terminal.press("S", "Saved ")
        assert (tmp_path / "sagatrace-loan-2.md").read_text().startswith("**rollback incomplete**")
