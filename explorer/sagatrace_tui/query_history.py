"""Keep recent queries and named queries in files of the user. Without the files all else works."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from sagatrace.files import make_directory, open_regular
from sagatrace.shown import logger
from sagatrace_tui.incident.query import QueryError

__all__ = ["QueryHistory", "SavedQueries"]

log: Final = logger("sagatrace")
MAX: Final = 50
_MAX_LENGTH: Final = 500
_SAVE: Final = re.compile(r"(?:^|\s+)save:(\S*)")
_NAME: Final = re.compile(r"(?<!\S)@(\S+)")


class QueryHistory:
    """Recent queries, the newest first. They are read here once, and written with each new one."""

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
        """Put the query first, and write the file."""
        self.put(query)
        self.write()

    def put(self, query: str) -> None:
        """Put the query first."""
        line = " ".join(query.split())
        self.queries = [line, *(one for one in self.queries if one != line)][:MAX]

    def write(self) -> None:
        """Write the file. Log a fault."""
        try:
            make_directory(self._path.parent)
            made = open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(made, "w", encoding="utf-8") as file:
                file.write("\n".join(self.queries) + "\n")
        except OSError as error:
            log.warning("recent queries cannot be kept: %s", error)


class SavedQueries:
    """Queries with names: `save:NAME` keeps the rest of a query, and `@NAME` stands for it from then on.

    `unsaved` says whether `save` has something to write.
    """

    def __init__(self, path: Path) -> None:
        self._lines = QueryHistory(path)
        self.unsaved = False

    def save(self) -> None:
        """Write the file."""
        self.unsaved = False
        self._lines.write()

    @property
    def named(self) -> dict[str, str]:
        """The queries by their names."""
        return dict(line.split(" ", 1) for line in reversed(self._lines.queries) if " " in line)

    def expanded(self, text: str) -> tuple[str, str]:
        """Return the query with each `@NAME` replaced by its query and without `save:NAME`, and that name or "".

        Raises QueryError for an unknown name, and for one that cannot be given.
        """
        named = self.named
        for match in _NAME.finditer(text):
            if match[1] not in named:
                known = ", ".join(f"@{name}" for name in sorted(named)) or "none: save:NAME in a query makes one"
                raise QueryError(f"no saved query @{match[1]} (known: {known})", match.start(), match.end())
        query = _NAME.sub(lambda match: named[match[1]], text)
        save = _SAVE.search(query)
        if save is None:
            return query, ""
        query = (query[: save.start()] + query[save.end() :]).strip()
        if not re.fullmatch(r"[\w.-]{1,40}", save[1]) or not query:
            start = text.find("save:")
            raise QueryError("save: needs a name of letters, and a query beside it", start, start + 5 + len(save[1]))
        return query, save[1]

    def put(self, name: str, query: str) -> None:
        """Give a query this name."""
        self._lines.put(f"{name} {query}")
        self.unsaved = True
