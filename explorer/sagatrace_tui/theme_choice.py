"""Keep the chosen theme in a file of the user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sagatrace.files import make_directory, open_regular
from sagatrace.shown import logger

__all__ = ["ThemeChoice"]

log: Final = logger("sagatrace")


class ThemeChoice:
    """`name` is the theme chosen last, or ""."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = ""
        try:
            with os.fdopen(open_regular(path), encoding="utf-8", errors="replace") as file:
                self.name = file.readline(100).strip()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("the chosen theme cannot be read: %s", error)

    def keep(self, name: str) -> None:
        """Write the file. Log a fault."""
        self.name = name
        try:
            make_directory(self._path.parent)
            made = open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(made, "w", encoding="utf-8") as file:
                file.write(f"{name}\n")
        except OSError as error:
            log.warning("the chosen theme cannot be kept: %s", error)
