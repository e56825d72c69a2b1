"""Recent queries, in a file of the user's own; without it there is none, and nothing else is lost."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

from sagatrace.files import make_directory, open_regular

__all__ = ["QueryHistory"]

log: Final = logging.getLogger("sagatrace")
MAX: Final = 50
_MAX_LENGTH: Final = 500


class QueryHistory:
    """The newest queries first; read when made, written with each one added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.queries: list[str] = []
        try:
            with os.fdopen(open_regular(path), encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("recent queries cannot be read: %s", error)
            return
        self.queries = [line for line in lines if line.strip() and len(line) <= _MAX_LENGTH][:MAX]

    def add(self, query: str) -> None:
        """Put it first, and write the file."""
        line = " ".join(query.split())
        self.queries = [line, *(one for one in self.queries if one != line)][:MAX]
        try:
            make_directory(self._path.parent)
            made = open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(made, "w", encoding="utf-8") as file:
                file.write("\n".join(self.queries) + "\n")
        except OSError as error:
            log.warning("recent queries cannot be kept: %s", error)
