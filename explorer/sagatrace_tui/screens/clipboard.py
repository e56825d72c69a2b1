"""Copy to the terminal's clipboard, also over SSH, or to a file where the terminal cannot copy."""

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
    """Copy the text without control characters.

    Args:
        app: the app, which knows its terminal.
        text: the text to copy.
        what: the noun for the text in the note.
        otherwise: advice for a terminal that cannot copy, like `S saves it`.

    Returns:
        The note to show, and its tone.
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
    """Write the text to a new file in the current directory, or else in the directory for temporary files.

    Args:
        text: the text.
        about: the subject, which becomes part of the name.
        suffix: the end of the file's name.

    Raises:
        OSError: neither directory takes the file.
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
        """The text was saved, or saving failed."""

        def __init__(self, said: str, tone: str) -> None:
            super().__init__()
            self.said = said
            self.tone = tone

    SUFFIX: ClassVar[str] = ".md"
    """The suffix of saved files."""

    def copied(self) -> tuple[str, str, str] | None:
        """Return the text to copy, its noun, and the advice for a terminal that cannot copy."""
        raise NotImplementedError

    def text_to_save(self) -> tuple[str, str] | None:
        """Return the text to copy or save, and the name for its file; None without one."""
        raise NotImplementedError

    def say(self, text: str, tone: str = "plain") -> None:
        """Show a note on the state line, which a small terminal shows only for that note."""
        self.query_one(StateLine).say(text, tone)

    def action_copy(self) -> None:
        """Copy the value or id under the cursor."""
        if (found := self.copied()) is not None:
            self.say(*copy_text(self.app, *found))

    def action_copy_summary(self) -> None:
        """Copy the incident summary."""
        if (found := self.text_to_save()) is not None:
            self.say(*copy_text(self.app, found[0], "the summary", "S saves it"))

    def action_save(self) -> None:
        """Save the text to a file."""
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
        """Show the name of the saved file, or the error."""
        self.say(inert(message.said, 300), message.tone)
