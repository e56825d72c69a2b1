"""Copying: to the terminal's clipboard, over SSH too, and to a file where that cannot be."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from textual.app import App
from textual.message import Message
from textual.screen import Screen

from sagatrace_tui.labels import inert, size
from sagatrace_tui.terminal import LARGEST_COPY, Terminal
from sagatrace_tui.widgets.bar import StateLine

__all__ = ["CopyScreen", "copy_text", "save_text"]


def copy_text(app: App[None], text: str, what: str) -> tuple[str, str]:
    """Copy the text as it is shown, nothing in it that a terminal would act on; returns (what to say, its tone)."""
    shown = inert(text, lines=True)
    terminal = getattr(app, "terminal", None)
    if isinstance(terminal, Terminal) and not terminal.copies:
        return f"This terminal ({terminal.name}) has no clipboard to copy to: S saves the hand-over as a file", "warn"
    if len(shown.encode()) * 4 // 3 > LARGEST_COPY:
        return f"Not copied: {size(len(shown))} are more than terminals take. S saves the hand-over as a file", "warn"
    app.copy_to_clipboard(shown)
    return f"Copied {what}, {size(len(shown))}. Not in your clipboard? Then S saves the hand-over as a file", "ok"


def save_text(text: str, trace_id: str) -> Path:
    """Write the text to a new file, here or else in the directory for temporary files. Raises OSError."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", trace_id)[:80].strip("-.") or "trace"
    try:
        return _written(Path.cwd(), name, text)
    except OSError:  # a directory one may only read is no fault
        return _written(Path(tempfile.gettempdir()), name, text)


def _written(directory: Path, name: str, text: str) -> Path:
    for number in range(1, 100):
        path = directory / (f"sagatrace-{name}.md" if number == 1 else f"sagatrace-{name}-{number}.md")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise OSError(f"{directory} holds 99 hand-overs of this trace already: remove some")


class CopyScreen(Screen[None]):
    """A screen with something to copy (`y`) and to hand over (`Y`, `S`), and a line that says how that went."""

    class Saved(Message):
        """The hand-over is in a file, or could not be written."""

        def __init__(self, said: str, tone: str) -> None:
            super().__init__()
            self.said = said
            self.tone = tone

    def copied(self) -> tuple[str, str] | None:
        """What to copy, and what that is."""
        raise NotImplementedError

    def handed_over(self) -> tuple[str, str] | None:
        """The text to hand over, and the trace id to name its file by."""
        raise NotImplementedError

    def say(self, text: str, tone: str = "plain") -> None:
        """Say what was done; on a small terminal the line for it comes for the moment."""
        self.query_one(StateLine).say(text, tone)

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        if (found := self.copied()) is not None:
            self.say(*copy_text(self.app, *found))

    def action_hand_over(self) -> None:
        """Copy the text to paste into an incident channel."""
        if (found := self.handed_over()) is not None:
            self.say(*copy_text(self.app, found[0], "the hand-over"))

    def action_save(self) -> None:
        """Write that text to a file."""
        if (found := self.handed_over()) is None:
            return

        def save() -> None:
            try:
                said = self.Saved(f"Saved {save_text(*found)}", "ok")
            except OSError as error:
                said = self.Saved(f"Not saved: {error}", "bad")
            self.post_message(said)

        self.run_worker(save, thread=True)

    def on_copy_screen_saved(self, message: Saved) -> None:
        """Say where it is."""
        self.say(inert(message.said, 300), message.tone)
