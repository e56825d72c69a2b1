"""The terminal gets only the app's own sequences, for any text from jobs, files or the keyboard."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from test_terminals import Command, copied

from pty_terminal import PtyTerminal
from sagatrace_tui.widgets.rows import CURSOR

HOSTILE = {
    "colour and erase": "\x1b[31m\x1b[2J\x1b[1;1Hmoved",
    "title": "\x1b]0;owned\x07 \x1b]2;owned\x1b\\",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "DCS, APC, PM, SOS": "\x1bP+q544e\x1b\\\x1b_Gi=1;AAAA\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\",
    "tmux and screen": "\x1bPtmux;\x1b\x1b]52;c;ZXZpbA==\x07\x1b\\\x1bk name\x1b\\",
    "questions": "\x1b[c\x1b[6n\x1b[>0q\x1b[?2026$p\x05",
    "modes": "\x1b[?1049l\x1b[?25l\x1b[?1000h\x1bc\x1b(0\x0e\x0f",
    "C0": "".join(map(chr, range(32))) + "\x7f",
    "C1": "".join(map(chr, range(0x80, 0xA0))) + "\x9b31m\x9d0;owned\x9c\x90q\x9c",
    "line ends": "a\rb\nc\r\nd\x0be\x0cf\x85g\u2028h\u2029i",
    "tabs": "\ta\t\tb",
    "bidi overrides": "\u202etxt.exe\u202c \u202dabc\u202c \u202a\u202b\u200e\u200f\u061c",
    "bidi isolates": "\u2066a\u2067b\u2068c\u2069",
    "no width": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg\u034fh\u180ei",
    "tags and variations": "\U000e0041\U000e007f \u2764\ufe0f 1\ufe0f\u20e3 \U000e0100",
    "emoji joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f4\U000e0067\U000e007f \U0001f1e9\U0001f1ea",
    "combining": "e" + "\u0301" * 60 + " Z" + "\u0336\u035c\u0489" * 20,
    "wide": "\u65e5\u672c\u8a9e\uff21\U0001f600" * 12,
    "private and not signs": "\ue000\uf8ff\ufffe\uffff\U000f0000\ufff9a\ufffb",
    "not UTF-8": b"\xff\xfe\xc3(\xed\xa0\x80".decode("utf-8", "backslashreplace"),
    "surrogates, written out": "\\ud800 \\udfff \\x1b[31m \\u001b[31m",
    "markup": "[/][bold red]x[/] [@click=app.quit]y[/] [link=https://evil.example]z[/link] $error {x} %s",
    "query": 'status:failed "\x1b[31m',
}
OURS = re.compile(
    rb"\x1b\]11;\?\x1b\\|\x1b\]22;[a-z-]*\x07|\x1b\]52;c;[A-Za-z0-9+/=]*\x07"
    rb"|\x1b\[[0-9;]*[mHBCXKMLr]|\x1b\[\??[0-9;]*[hl]|\x1b\[\?[0-9]+\$p|\x1b\[[<>][0-9;]*u|\r\n|\r|\x08"
)
"""Every sequence that the app has a reason to send: moves, styles, erasing, scrolling, modes, clipboard, questions."""
ACTIVE = re.compile(
    "[\x80-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\uffff\ue000-\uf8ff"
    "\U000e0000-\U0010ffff]"
)


def only_ours(raw: bytes) -> None:
    """Fail if the output has other than plain text and the app's sequences."""
    left = OURS.sub(b"", raw)
    at = re.search(rb"[\x00-\x1f\x7f]", left)
    assert not at, left[max(0, at.start() - 100) : at.start() + 100]
    text = left.decode()
    found = ACTIVE.search(text)
    assert not found, ascii(text[max(0, found.start() - 100) : found.start() + 100])


def documents(name: str, nasty: str) -> Iterator[dict[str, Any]]:
    """Return a saga with the string in every place where a job can put it."""
    place = {"worker": nasty, "queue": nasty, "host": nasty, "attempt": nasty, "reason": nasty, "depends_on": [nasty]}
    error = {"error": nasty, "error_type": nasty, "stack": f'Traceback\n  File "{nasty}", line 1, in {nasty}\n{nasty}'}
    values = {nasty: {nasty: [nasty, {nasty: nasty}]}, "text": nasty, "lines": f"{nasty}\n{nasty}", "big": nasty * 3000}
    trace_id, root, step = f"{nasty} {name}"[:200], f"root {nasty}", f"step {nasty}"
    basis = {"trace_id": trace_id, "tags": [nasty, nasty]}
    made: list[tuple[str, str | None, str, dict[str, Any]]] = [
        (root, None, f"{nasty}:started", {"job_name": nasty, **place}),
        (step, root, f"stage:{nasty}:started", {"compensation": nasty, **values}),
        (step, root, f"stage:{nasty}:completed", {"job_name": nasty}),
        (f"job {nasty}", root, f"job {nasty}:failed", {"job_name": nasty, **error, **place, **values}),
        (f"undo {nasty}", root, f"{nasty}:compensation_failed", {"original_span_id": step, **error, **place}),
        (f"orphan {nasty}", f"missing {nasty}", f"{nasty}", {"dependency": nasty, **values}),
        (f"job {nasty}", root, f"job {nasty}:completed", {}),
        (root, None, f"{nasty}:failed", {"job_name": nasty, **error}),
    ]
    for number, (span_id, parent, event_type, data) in enumerate(made):
        document = {"id": f"{name}-{number}", "span_id": span_id, "event_type": event_type, "data": data}
        document["timestamp"] = f"2025-12-22T10:00:{number:02}.000000Z"
        yield {**basis, **document, **({"parent_span_id": parent} if parent else {})}


PART = 8  # strings that one walk meets: several walks, so that they can go side by side


@pytest.fixture(params=range(0, len(HOSTILE), PART))
def hostile_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store of such sagas, with a hostile name."""
    some = list(HOSTILE.items())[request.param : request.param + PART]
    url = "sqlite:///" + quote(f"{tmp_path}/tr\x1b[31m\u202e\x9baces.db")
    file = tmp_path / "hostile.jsonl"
    made = [document for name, nasty in some for document in documents(name, nasty)]
    file.write_text("".join(f"{json.dumps(document)}\n" for document in made))
    importing = [sys.executable, "-c", "from sagatrace_tui.cli import main; main()", "import", "--store", url]
    subprocess.run([*importing, str(file)], check=True, capture_output=True)
    return url


@pytest.mark.parametrize("size", [(120, 40), (40, 12)], ids=["120x40", "40x12"])
def test_hostile_data_sends_no_sequence_of_its_own(
    hostile_url: str, tmp_path: Path, size: tuple[int, int], heavy: bool
) -> None:
    recent = tmp_path / "state" / "sagatrace" / "recent-queries"
    recent.parent.mkdir(parents=True)
    recent.write_text("\n".join(nasty.replace("\n", " ") for nasty in HOSTILE.values()), encoding="utf-8")
    argv = [sys.executable, "-m", "sagatrace_tui", "--store", hostile_url]
    with PtyTerminal(argv, size=size, env={"XDG_STATE_HOME": str(tmp_path / "state")}) as terminal:
        terminal.until("VERDICT", "rollback incomplete" if size[0] > 40 else "polling")
        for _ in range(PART if heavy or size[0] > 40 else PART // 2):
            opened(terminal, "\r", "q Back")
            for keys in ("w", "c", "j", "1", "g", "\t", "G", "k", "k", "y", "\t", "Y", "j\t"):
                pressed(terminal, keys)
            terminal.press("/", "Enter Back to tree")
            terminal.press("step\r", "q Back")  # what is typed before the tree has the focus goes into the line
            pressed(terminal, "n*")
            opened(terminal, "q", "q Quit")
            pressed(terminal, "j")
        terminal.until_true(lambda: re.search("␛|⟨U\\+", terminal.text), "no hostile name in the list")
        only_ours(bytes(terminal.raw))
        for given in copied(bytes(terminal.raw)):
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", given)
            if given.startswith("**"):  # a summary; a copied value keeps its tabs and signs of direction
                assert not re.search("[\t\u202a-\u202e\u2066-\u2069]", given)
        terminal.send("\x03")
        assert terminal.wait() == 0


@pytest.mark.parametrize("size", [(160, 40), (60, 16)], ids=["160x40", "60x16"])
def test_hostile_data_stays_inert_in_the_views_of_many_traces(
    hostile_url: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    state = tmp_path / "state" / "sagatrace"
    state.mkdir(parents=True)
    (state / "standing-keys").write_text("text,\x1b]0;owned\x07,lines", encoding="utf-8")
    (state / "saved-queries").write_text("\x1b[31m since:1d\n", encoding="utf-8")
    argv = [sys.executable, "-m", "sagatrace_tui", "--store", hostile_url]
    with PtyTerminal(argv, size=size, env={"XDG_STATE_HOME": str(tmp_path / "state")}) as terminal:
        terminal.until("VERDICT")
        terminal.press("/", "Tab Complete")
        terminal.press("since:2025-12-01\r", "q Quit")
        for view, title in (("2", "TRACES"), ("3", "SINCE")):
            terminal.press(view, title)
            for keys in ("j", "G", "k", "g", "y", "o"):
                pressed(terminal, keys)
        terminal.press("1", "VERDICT")
        for _ in range(PART):
            terminal.press("d", "Esc Back")
            opened(terminal, "q", "q Quit")
            pressed(terminal, "j")
        only_ours(bytes(terminal.raw))
        terminal.send("\x03")
        assert terminal.wait() == 0


def pressed(terminal: PtyTerminal, keys: str) -> None:
    """Press keys, and read a quick answer. Keys are answered in order, so later keys do not depend on it."""
    terminal.send(keys)
    terminal.read(quiet=0.03)


def opened(terminal: PtyTerminal, keys: str, hint: str) -> None:
    """Press keys, and wait for a hint in the last line and for a cursor, which shows when all is read."""
    terminal.send(keys)
    terminal.until_true(
        lambda: hint in terminal.text.splitlines()[-1] and CURSOR in terminal.text, f"no screen with {hint!r}"
    )


def changed(terminal: PtyTerminal, key: str) -> None:
    """Press a key that changes the screen above the state line, and wait for the change."""
    before = terminal.text.splitlines()[:-2]
    terminal.send(key)
    terminal.until_true(lambda: terminal.text.splitlines()[:-2] != before, f"{key!r} changed nothing")


def to_row(terminal: PtyTerminal, name: str) -> None:
    """Move the cursor of the detail to the row with that name, which needs scrolling."""
    for _ in range(600):
        rows = [line.partition("│")[2] for line in terminal.text.splitlines()]
        cursors = [at for at, row in enumerate(rows) if row.startswith(CURSOR)]
        wanted = [at for at, row in enumerate(rows) if re.match(f"[ {CURSOR}]  {name}: ", row)]
        if wanted and cursors == wanted:
            return
        changed(terminal, "k" if wanted and cursors and cursors[-1] > wanted[0] else "j")
    raise AssertionError(f"no row {name!r}:\n{terminal.text}")


def test_a_value_of_a_megabyte_is_opened_whole_and_inert(tui: Command, store_url: str, tmp_path: Path) -> None:
    nasty = "".join(HOSTILE.values())
    big = nasty * (1_000_000 // len(nasty) + 1)
    document = {
        "id": "b",
        "trace_id": "big",
        "span_id": "s",
        "event_type": "job:failed",
        "data": {"error": big, "v": big},
    }
    file = tmp_path / "big.jsonl"
    file.write_text(json.dumps({**document, "timestamp": "2025-12-22T10:00:00.000000Z"}))
    importing = [sys.executable, "-c", "from sagatrace_tui.cli import main; main()", "import", "--store", store_url]
    subprocess.run([*importing, str(file)], check=True, capture_output=True)
    with PtyTerminal(tui("big")) as terminal:
        terminal.until("CAUSE")
        terminal.press("\t", "Enter Open")
        to_row(terminal, "v")
        terminal.press("\r", " characters", "Esc Back", "moved")
        for key in ("G", "g", "\x1b[6~", "\x1b[6~"):
            changed(terminal, key)
        terminal.press("y", "Not copied: 1,")
        only_ours(bytes(terminal.raw))


def test_recalled_or_pasted_text_is_inert(tui: Command, tmp_path: Path) -> None:
    recent = tmp_path / "state" / "sagatrace" / "recent-queries"
    recent.parent.mkdir(parents=True)
    recent.write_text("\n".join(nasty.replace("\n", " ") for nasty in HOSTILE.values()), encoding="utf-8")
    with PtyTerminal(tui(), env={"XDG_STATE_HOME": str(tmp_path / "state")}) as terminal:
        terminal.until("VERDICT", "loan-1")
        pressed(terminal, "/")
        for _ in range(60):
            pressed(terminal, "\x1b[A")
        pressed(terminal, "\x15")
        for nasty in HOSTILE.values():
            pasted = re.sub("[\x1b\x03\x1a]", "\x02", nasty)  # a real terminal takes these out of what it pastes
            pressed(terminal, f"\x1b[200~{pasted}\x1b[201~")
        pressed(terminal, "\x1b")
        only_ours(bytes(terminal.raw))
        terminal.send("\x03")
        assert terminal.wait() == 0
