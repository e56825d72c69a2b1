"""Keep recent and named queries in files of the user. The app also works without the files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from sagatrace.files import make_directory, open_regular
from sagatrace.shown import logger
from sagatrace_tui.incident.query import Query, QueryError, parse_query, words_of

__all__ = ["QueryHistory", "SavedQueries"]

log: Final = logger("sagatrace")
MAX: Final = 50
_MAX_LENGTH: Final = 500


class QueryHistory:
    """Recent queries, the newest first. The constructor reads the file; each new query writes it."""

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
        line = " ".join(query.splitlines()).strip()
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
    """Queries with names: `save:NAME` saves the rest of a query, and `@NAME` inserts it later.

    `unsaved` is whether `save` has changes to write.
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

    def parse(self, text: str) -> tuple[Query, str, str]:
        """Parse a query line with names in it.

        Returns:
            The query, the line with `@NAME` replaced and `save:NAME` removed, and the name to save ("" for none).

        Raises:
            QueryError: the query is wrong, a name is unknown, or a name cannot be saved.
        """
        expanded, name, places = "", "", list[tuple[int, int, int]]()  # (place in `expanded`, start, end) of each word
        for word, start, end in words_of(text):
            if word.startswith("save:"):
                name = self._name(word, start, end)
            else:
                places.append((len(expanded), start, end))
                expanded += (self._query_of(word, start, end) if word.startswith("@") and word != "@" else word) + " "
        expanded = expanded.strip()
        try:
            query = parse_query(expanded)
        except QueryError as error:
            start, end = next((start, end) for at, start, end in reversed(places) if at <= error.start)
            raise QueryError(str(error), start, end) from None
        if name and not expanded:
            raise QueryError("save: needs a query beside it", 0, len(text))
        if len(f"{name} {expanded}") > _MAX_LENGTH and name:
            raise QueryError(f"a saved query has at most {_MAX_LENGTH} characters", 0, len(text))
        return query, expanded, name

    def _query_of(self, word: str, start: int, end: int) -> str:
        named = self.named
        if word[1:] not in named:
            known = ", ".join(f"@{name}" for name in sorted(named)) or "none; save:NAME in a query saves it"
            raise QueryError(f"no saved query {word} (known: {known})", start, end)
        return named[word[1:]]

    def _name(self, word: str, start: int, end: int) -> str:
        name = word.removeprefix("save:")
        if not re.fullmatch(r"[\w.-]{1,40}", name):
            raise QueryError("save: needs a name of at most 40 letters and digits", start, end)
        return name

    def put(self, name: str, query: str) -> None:
        """Save a query under this name, until `save` in memory only."""
        lines = self._lines
        lines.queries = [line for line in lines.queries if not line.startswith(f"{name} ")]
        lines.put(f"{name} {query}")
        self.unsaved = True
