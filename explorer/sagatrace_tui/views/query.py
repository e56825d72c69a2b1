"""The query line: `status:failed type:stage:funding loan_id=L123 since:2h tag:ai "insufficient funds" T-17`. Pure.

A word with a colon after a known key is a condition, `key=value` is one on an event's data, text in quotes is part of
an error, and any other word is how a trace id begins. All of them must be met by one event of a trace. Only `status:`
with a word of the list, as `status:rollback-incomplete`, asks how the whole trace stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from sagatrace.event import split_event_type
from sagatrace_tui.model import Verdict

__all__ = ["KEYS", "Moment", "Query", "QueryError", "completions", "parse_query"]

KEYS: Final[dict[str, str]] = {
    "status:": "failed, success, pending; or as listed: rollback-incomplete, running, …",
    "type:": "an event type, as job:failed; a span's name alone means its start, or with status: its end",
    "tag:": "one of the event's tags",
    "since:": "from then on: 30m, 2h, 7d ago, a date or a time in UTC",
    "until:": "before then",
    "error:": "part of the error or its type, as text in quotes",
    "trace:": "how the trace id begins, as a word alone",
}
_STATUSES: Final = ("failed", "success", "pending")
_LISTED: Final[dict[str, Verdict]] = {
    "rollback-incomplete": "rollback_incomplete",
    "rollback-missing": "rollback_missing",
    "succeeded-but-compensated": "succeeded_but_compensated",
    "rolled-back": "rolled_back",
    "running": "running",
    "compensating": "compensating",
    "succeeded": "succeeded",
    "unknown": "unknown",
}
"""The words of the list for a verdict. `failed` is missing: it asks for failed events, and so finds failed traces."""
_VERDICTS: Final[dict[str, Verdict]] = {
    **{verdict.replace("_", "-"): verdict for verdict in get_args(Verdict) if verdict != "failed"},
    **_LISTED,
}
_ENDS: Final = {"failed": "failed", "success": "completed", "pending": "started", None: "started"}
_SPAN_KINDS: Final = ("workflow", "saga", "stage", "job", "step")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_WORD: Final = re.compile(r'\s+|(?P<word>(?:[^\s"]|"(?:[^"\\]|\\.)*")+)|(?P<open>")')
_TIMES: Final = ("2h", "30m", "7d")


class QueryError(ValueError):
    """A query that cannot be read; `start` and `end` are the faulty part of its text."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start = start
        self.end = end


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment: fixed, in microseconds since 1970, or so many microseconds before now."""

    micros: int
    ago: bool

    def at(self, now: int) -> int:
        """Return the moment as of `now`."""
        return now - self.micros if self.ago else self.micros


@dataclass(frozen=True, slots=True)
class Query:
    """The conditions of a search; an empty one is no condition. `data` are texts like `path.to.key=value`.

    `verdict` is that of the whole trace. One single event must match all other conditions.
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


def parse_query(text: str) -> Query:
    """Read a query line. Raises QueryError with the faulty part and the reason."""
    query = Query()
    seen: set[str] = set()
    for word, start, end in _words(text):
        key, value = _split(word)
        if not key and (unknown := re.match(r"([a-z]+):", value)):
            known = " ".join(KEYS)
            raise QueryError(f"no key is {unknown[1]}: (known: {known}); for an id write trace:{value}", start, end)
        if key != "=" and key in seen:
            raise QueryError(f"{key or 'a trace id'} is given twice", start, end)
        seen.add(key)
        if not value and key:
            raise QueryError(f"{key} needs a value: {KEYS.get(key, 'write key=value')}", start, end)
        query = _with(query, key, value, start, end)
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
    """Return a word as (key, value); the key of a condition on data is `=`."""
    for key in KEYS:
        if word.startswith(key):
            return key, _unquoted(word.removeprefix(key))
    if word.startswith('"'):
        return "error:", _unquoted(word)
    if "=" in word.lstrip("="):
        path, _, value = word.partition("=")
        return "=", f"{path}={value}" if value else ""
    return "", word


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _with(query: Query, key: str, value: str, start: int, end: int) -> Query:
    match key:
        case "status:":
            if (verdict := _VERDICTS.get(re.sub("[ _]", "-", value.lower()))) is not None:
                return replace(query, verdict=verdict)
            if value not in _STATUSES:
                known = f"{', '.join(_STATUSES)} of an event; of a trace {', '.join(_LISTED)}"
                raise QueryError(f"no status is {value!r}: {known}", start, end)
            return replace(query, status=cast('Literal["success", "failed", "pending"]', value))
        case "since:" | "until:":
            moment = _moment(value)
            if moment is None:
                raise QueryError(f"{value!r} is no time: write 30m, 2h, 7d, 2025-12-31 or 2025-12-31T09:30", start, end)
            return replace(query, since=moment) if key == "since:" else replace(query, until=moment)
        case "type:":
            return replace(query, event_type=value)
        case "tag:":
            return replace(query, tag=value)
        case "error:":
            return replace(query, error=value)
        case "=":
            return replace(query, data=(*query.data, value))
        case _:
            return replace(query, trace_prefix=value)


def _moment(text: str) -> Moment | None:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return Moment(int(ago[1]) * _UNITS[ago[2]] * 1_000_000, ago=True)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return Moment(int(at.timestamp() * 1_000_000), ago=False)


def completions(text: str) -> list[str]:
    """Return completions of the last word of the text, likeliest first."""
    word = text.rpartition(" ")[2]
    if not word:
        return []
    if word.startswith("status:"):
        found = [f"status:{status}" for status in (*_STATUSES, *_LISTED)]
    elif word.startswith(("since:", "until:")):
        found = [f"{word.partition(':')[0]}:{time}" for time in _TIMES]
    else:
        found = list(KEYS)
    return [one for one in found if one.startswith(word) and one != word]
