"""The query line: `status:failed type:stage:funding loan_id=L123 since:2h tag:ai "insufficient funds" T-17`. Pure.

A word with a known key and a colon is a condition. `key=value` is a condition on an event's data. Text in quotes is
part of an error. Any other word is the beginning of a trace id. One event of a trace must match all of them. Only
`status:` with a verdict, as `status:rollback-incomplete`, is about the whole trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from sagatrace.event import split_event_type
from sagatrace_tui.model import Verdict

__all__ = ["KEYS", "Moment", "Query", "QueryError", "completions", "parse_query"]

KEYS: Final[dict[str, str]] = {
    "status:": "failed, success, pending; or a verdict: rollback-incomplete, running, …",
    "type:": "an event type, as job:failed; or a span's name: its start, or with status: its end",
    "tag:": "one of the event's tags",
    "since:": "from this time on: 30m, 2h or 7d before now, a date, or a time in UTC",
    "until:": "before this time",
    "error:": "part of the error or its type, as text in quotes",
    "trace:": "the beginning of the trace id, as a word alone",
}
# The fields of a query that are not named after their key.
_FIELDS: Final = {"type:": "event_type", "trace:": "trace_prefix"}
_STATUSES: Final = ("failed", "success", "pending")
# The list's words for a verdict. `failed` is missing: it asks for failed events, and so finds failed traces.
_VERDICTS: Final = {one.replace("_", "-"): one for one in sorted(get_args(Verdict)) if one != "failed"}
_ENDS: Final = {"failed": "failed", "success": "completed", "pending": "started", None: "started"}
_SPAN_KINDS: Final = ("workflow", "saga", "stage", "job", "step")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_WORD: Final = re.compile(r'\s+|(?P<word>(?:[^\s"]|"(?:[^"\\]|\\.)*")+)|(?P<open>")')


class QueryError(ValueError):
    """A query that cannot be read. Its faulty part is `text[start:end]`."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


@dataclass(frozen=True, slots=True)
class Moment:
    """A fixed moment in microseconds since 1970, or with `ago` a number of microseconds before now."""

    micros: int
    ago: bool

    def at(self, now: int) -> int:
        """Return the moment as of `now`."""
        return now - self.micros if self.ago else self.micros


@dataclass(frozen=True, slots=True)
class Query:
    """The conditions of a search; empty fields are not conditions. `data` are texts like `path.to.key=value`.

    `verdict` is that of the whole trace. The same event must match all other conditions.
    """

    status: Literal["success", "failed", "pending"] | None = None
    verdict: Verdict | None = None
    event_type: str = ""
    tag: str = ""
    error: str = ""
    since: Moment | None = None
    until: Moment | None = None
    trace_prefix: str = ""
    data: tuple[str, ...] = ()

    @property
    def reads_all(self) -> bool:
        """Whether it looks into the text or data of events, whenever they happened: dear where a store charges."""
        return self.since is None and bool(self.error or self.data)


def parse_query(text: str) -> Query:
    """Read a query line. Raise QueryError with the faulty part and the reason."""
    found: dict[str, Any] = {}
    for word, start, end in _words(text):
        try:
            _add(found, *_split(word))
        except ValueError as fault:
            raise QueryError(str(fault), start, end) from None
    query = Query(**found)
    kind = query.event_type.partition(":")[0]
    if kind in _SPAN_KINDS and split_event_type(query.event_type)[1] is None:
        query = replace(query, event_type=f"{query.event_type}:{_ENDS[query.status]}")
    return query


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _WORD.finditer(text):
        if match["open"]:
            raise QueryError('this " is never closed', match.start(), len(text))
        if match["word"]:
            yield match["word"], match.start(), match.end()


def _split(word: str) -> tuple[str, str]:
    """Return a word as (key, value); the key of a condition on data is `=`. Raise ValueError for an unknown key."""
    key, colon, value = word.partition(":")
    if key + colon in KEYS:
        return key + colon, _unquoted(value)
    if word.startswith('"'):
        return "error:", _unquoted(word)
    if "=" in word.lstrip("="):
        return "=", word if word.partition("=")[2] else ""
    if re.match("[a-z]+:", word):
        raise ValueError(f"unknown key {key}: (known: {' '.join(KEYS)}); for an id write trace:{word}")
    return "trace:", word


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _add(found: dict[str, Any], key: str, value: str) -> None:
    """Add a condition to the fields of a query. Raise ValueError if it makes no sense."""
    field: str = _FIELDS.get(key, key[:-1])
    wanted: object = value
    if not value:
        raise ValueError(f"{key} needs a value: {KEYS.get(key, 'write key=value')}")
    if key == "=":
        field, wanted = "data", (*found.pop("data", ()), value)
    elif key == "status:":
        field, wanted = _status(value)
    elif key in ("since:", "until:"):
        wanted = _moment(value)
    if field in found:
        raise ValueError(f"{'a trace id' if key == 'trace:' else key} is given twice")
    found[field] = wanted


def _status(value: str) -> tuple[str, str]:
    """Return the field that a status belongs to, and the value there. Raise ValueError for an unknown status."""
    if (verdict := _VERDICTS.get(re.sub("[ _]", "-", value.lower()))) is not None:
        return "verdict", verdict
    if value not in _STATUSES:
        known = f"{', '.join(_STATUSES)} of an event; of a trace {', '.join(_VERDICTS)}"
        raise ValueError(f"unknown status {value!r}: {known}")
    return "status", value


def _moment(text: str) -> Moment:
    if (ago := _AGO.fullmatch(text)) is not None:
        return Moment(int(ago[1]) * _UNITS[ago[2]] * 1_000_000, ago=True)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time: write 30m, 2h, 7d, 2025-12-31 or 2025-12-31T09:30") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return Moment(int(at.timestamp() * 1_000_000), ago=False)


def completions(text: str) -> list[str]:
    """Return completions of the last word of the text, the most likely first."""
    word = text.rpartition(" ")[2]
    if not word:
        return []
    if word.startswith("status:"):
        found = [f"status:{status}" for status in (*_STATUSES, *_VERDICTS)]
    elif word.startswith(("since:", "until:")):
        found = [f"{word.partition(':')[0]}:{time}" for time in ("2h", "30m", "7d")]
    else:
        found = list(KEYS)
    return [one for one in found if one.startswith(word) and one != word]
