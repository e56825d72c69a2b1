"""Copying: to the terminal's clipboard, over SSH too, and to a file where that cannot be."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.message import Message
from textual.screen import Screen

from sagatrace.files import open_regular
from sagatrace_tui.labels import copyable, inert, size
from sagatrace_tui.terminal.detect import LARGEST_COPY, Terminal
from sagatrace_tui.widgets.bar import StateLine

__all__ = ["CopyScreen", "copy_text", "save_text"]


def copy_text(app: App[None], text: str, what: str, otherwise: str = "") -> tuple[str, str]:
    """Copy the text as it was written, but for controls; returns (what to say, its tone).

    `otherwise` is what to do where that cannot be: `S saves it as a file`.
    """
    copied = copyable(text)
    terminal = getattr(app, "terminal", None)
    if isinstance(terminal, Terminal) and not terminal.copies:
        return f"No clipboard in this terminal ({terminal.name}){otherwise and f': {otherwise}'}", "warn"
    if len(copied.encode()) * 4 // 3 > LARGEST_COPY:
        return f"Not copied: {size(len(copied))} are too many for terminals{otherwise and f': {otherwise}'}", "warn"
    app.copy_to_clipboard(copied)
    return f"Copied {what}, {size(len(copied))}{otherwise and f'. Not in your clipboard? {otherwise}'}", "ok"


def save_text(text: str, about: str, suffix: str = ".md") -> Path:
    """Write the text to a new file named by what it is about, here or else in the directory for temporary files.

    Raises OSError.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", about)[:80].strip("-.") or "trace"
    try:
        return _written(Path.cwd(), name, suffix, text)
    except OSError:  # a read-only directory is not a fault
        return _written(Path(tempfile.gettempdir()), name, suffix, text)


def _written(directory: Path, name: str, suffix: str, text: str) -> Path:
    for number in range(1, 100):
        path = directory / f"sagatrace-{name}{f'-{number}' if number > 1 else ''}{suffix}"
        try:
            made = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(made, "w", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return path
    raise OSError(f"{directory} holds 99 files sagatrace-{name}*{suffix} already: remove some")


class CopyScreen(Screen[None]):
    """A screen with a value to copy (`y`), a text to copy or save (`Y`, `S`), and a line for the result."""

    class Saved(Message):
        """The text is in a file, or could not be written."""

        def __init__(self, said: str, tone: str) -> None:
            super().__init__()
            self.said = said
            self.tone = tone

    SUFFIX: ClassVar[str] = ".md"
    """How the names of files end that are saved here."""

    def copied(self) -> tuple[str, str, str] | None:
        """What to copy, what that is, and what to do where it cannot be copied."""
        raise NotImplementedError

    def text_to_save(self) -> tuple[str, str] | None:
        """Return the text to copy or save, and the name for its file; None without one."""
        raise NotImplementedError

    def say(self, text: str, tone: str = "plain") -> None:
        """Say what was done; on a small terminal the line for it comes for the moment."""
        self.query_one(StateLine).say(text, tone)

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        if (found := self.copied()) is not None:
            self.say(*copy_text(self.app, *found))

    def action_copy_summary(self) -> None:
        """Copy the text to paste into an incident channel."""
        if (found := self.text_to_save()) is not None:
            self.say(*copy_text(self.app, found[0], "the incident summary", "S saves it as a file"))

    def action_save(self) -> None:
        """Write that text to a file."""
        if (found := self.text_to_save()) is None:
            return

        def save() -> None:
            try:
                said = self.Saved(f"Saved {save_text(*found, self.SUFFIX)}", "ok")
            except OSError as error:
                said = self.Saved(f"Not saved: {error}", "bad")
            self.post_message(said)

        self.run_worker(save, thread=True)

    def on_copy_screen_saved(self, message: Saved) -> None:
        """Say where it is."""
        self.say(inert(message.said, 300), message.tone)
