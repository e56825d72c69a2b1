"""The query line: `status:failed type:stage:funding loan_id=L123 since:2h took:>5s -tag:ai "insufficient funds" T-17`.

A word with a known key and a colon is a condition. `key=value` is a condition on an event's data. Text in quotes is a
part of an error. Any other word is the beginning of a trace id. If no id begins with it, it is part of a span's name.

Conditions on events must all hold for one event. Conditions on traces (`name:`, `took:`, `spans:`, `standing:`, and
`status:` with verdicts) hold for the whole trace. A minus before a condition negates it: no event may meet it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec.structs import replace

from sagatrace.phases import split_event_type
from sagatrace_tui.incident.conditions import Condition
from sagatrace_tui.model import Verdict

__all__ = ["KEYS", "Moment", "Query", "QueryError", "completions", "parse_length", "parse_query", "words_of"]

KEYS: Final[dict[str, str]] = {
    "status:": "failed, success, pending; or verdicts: rollback_incomplete,failed,running, …",
    "name:": "part of a span's name",
    "since:": "after this time: 30m, 2h or 7d before now, a date, or a time in UTC",
    "until:": "before this time",
    "error:": "part of the error or its type, as text in quotes",
    "standing:": "part of the name of a step that still stands, or any",
    "took:": ">5s, <=200ms, >2m: duration of the trace",
    "spans:": ">100, <5: number of spans",
    "type:": "an event type, like job:failed, or a span's name: its start, or with status: its end",
    "tag:": "a tag of an event",
    "host:": "the host that wrote an event",
    "queue:": "the RQ queue of a job",
    "trace:": "the beginning of the trace id",
    "by:": "group failures by the values of this data key, like by:customer.tier",
}
"""The keys, the most useful first, with their values. A minus before a key negates it."""
# Keys whose field in `Query` has another name.
_FIELDS: Final = {"type:": "event_type", "trace:": "trace_prefix"}
_STATUSES: Final = ("failed", "success", "pending")
# Verdicts as the list writes them. `failed` alone means failed events, so it finds all traces that failed.
_VERDICTS: Final[tuple[str, ...]] = tuple(sorted(get_args(Verdict)))
_ENDS: Final = {"failed": "failed", "success": "completed", "pending": "started", None: "started"}
_SPAN_KINDS: Final = ("workflow", "saga", "stage", "job", "step")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTHS: Final = {"ms": 1_000, "": 1_000_000, **{unit: seconds * 1_000_000 for unit, seconds in _UNITS.items()}}
_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_TOOK: Final = re.compile(r"([<>]=?)(\d{1,9}(?:\.\d{1,6})?)(ms|[smhdw]|)")
_SPANS: Final = re.compile(r"([<>]=?)(\d{1,9})")
# Words that mean something in other query languages. As part of a name they would find no trace: a false all-clear.
_OPERATORS: Final = {
    "AND": "all terms must match anyway: leave it out",
    "OR": "a query has no OR: status: takes several verdicts, like status:failed,running",
    "NOT": "write a minus before the term, like -tag:ai",
}
# A path of at most 32 keys, in which a backslash escapes the next character, and a value.
_DATA: Final = re.compile(r"(?:\\.|[^.=\\])+(?:\.(?:\\.|[^.=\\])+){0,31}=(.*)", re.DOTALL)
_WORD: Final = re.compile(r'(?P<word>(?:[^\s"]|"(?:[^"\\]|\\.)*")*)(?P<open>"?)\s*', re.DOTALL)


class QueryError(ValueError):
    """A query that cannot be read. Its faulty part is `text[start:end]`."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


class Moment(msgspec.Struct, frozen=True):
    """A fixed moment in microseconds since 1970, or with `ago` a number of microseconds before now."""

    micros: int
    ago: bool

    def at(self, now: int) -> int:
        """Return the moment as of `now`."""
        return now - self.micros if self.ago else self.micros


class Query(msgspec.Struct, frozen=True):
    """The conditions of a query. Empty fields are not conditions. `data` are texts like `path.to.key=value`.

    One event must match `status`, `event_type`, `tag`, `error`, `since`, `until`, `trace_prefix` and `data`. No event
    may match any query of `without`. The whole trace must meet the `conditions`. `word` is the beginning of a trace id
    or part of a span's name. `new` selects new kinds of failure. `by` is the data key that groups failures. It is not a
    condition.
    """

    status: Literal["success", "failed", "pending"] | None = None
    event_type: str = ""
    tag: str = ""
    error: str = ""
    since: Moment | None = None
    until: Moment | None = None
    trace_prefix: str = ""
    data: tuple[str, ...] = ()
    word: str = ""
    conditions: tuple[Condition, ...] = ()
    without: tuple[Query, ...] = ()
    new: bool = False
    by: str = ""

    @property
    def reads_all(self) -> bool:
        """Whether the query searches error text or data of all time, which is expensive in a store that charges."""
        return self.since is None and bool(self.error or self.data)

    @property
    def reads_traces(self) -> bool:
        """Whether a trace must be read to know that it matches."""
        return bool(self.conditions or self.without or self.word or self.new)


def parse_query(text: str) -> Query:
    """Parse a query line.

    Raises:
        QueryError: the query is wrong. The error has the faulty part and the reason.
    """
    found: dict[str, Any] = {}
    for word, start, end in words_of(text):
        try:
            if word.startswith("-") and len(word) > 1:
                _add_negated(found, word[1:])
            else:
                _add(found, *_split(word))
        except ValueError as fault:
            raise QueryError(str(fault), start, end) from None
    return _query(found)


def _query(found: dict[str, Any]) -> Query:
    query = Query(**found)
    kind = query.event_type.partition(":")[0]
    if kind in _SPAN_KINDS and split_event_type(query.event_type)[1] is None:
        query = replace(query, event_type=f"{query.event_type}:{_ENDS[query.status]}")
    return query


def words_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words of a query line as (word, start, end).

    Raises:
        QueryError: a quote is not closed.
    """
    for match in _WORD.finditer(text):
        if match["open"]:
            raise QueryError('this " is not closed', match.start("open"), len(text))
        if match["word"]:
            yield match["word"], match.start(), match.end("word")


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
    return "", word


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _add(found: dict[str, Any], key: str, value: str, *, negated: bool = False) -> None:
    """Add a condition to the fields of a query. Raise ValueError if the condition is wrong."""
    field: str = _FIELDS.get(key, key[:-1])
    wanted: object = value
    if not value:
        raise ValueError(f"{key} needs a value: {KEYS.get(key, 'write key=value')}")
    if (condition := _condition(key, value, negated=negated)) is not None:
        found["conditions"] = (*found.get("conditions", ()), condition)
        return
    if key in ("=", "host:", "queue:"):
        text = value if key == "=" else f"{key[:-1]}={json.dumps(value)}"
        _require_data_condition(text)
        field, wanted = "data", (*found.pop("data", ()), text)
    elif key == "status:":
        wanted = _status(value)
    elif key in ("since:", "until:"):
        wanted = _moment(value)
    elif not key:
        if value in _OPERATORS:
            raise ValueError(f"{_OPERATORS[value]}; for an id write trace:{value}")
        field, wanted = ("new", True) if value == "new" else ("word", value)
    if field in found:
        hint = "" if key else ': write text of an error as "…"'
        raise ValueError(f"{key or 'a trace id or name'} is given twice{hint}")
    found[field] = wanted


def _add_negated(found: dict[str, Any], word: str) -> None:
    """Add the opposite of a condition."""
    key, value = _split(word)
    if key in ("since:", "until:"):
        raise ValueError(f"{key} cannot be negated: {'until:' if key == 'since:' else 'since:'} is its opposite")
    if key == "by:" or (key == "" and value == "new"):
        raise ValueError(f"{key or value} cannot be negated: leave it out")
    if key == "":
        key = "name:"
    one: dict[str, Any] = {}
    _add(one, key, value, negated=True)
    if "conditions" in one:
        found["conditions"] = (*found.get("conditions", ()), *one["conditions"])
    else:
        found["without"] = (*found.get("without", ()), _query(one))


def _condition(key: str, value: str, *, negated: bool) -> Condition | None:
    """Return a condition on whole traces; None for a condition on events. Raise ValueError if it is wrong."""
    if key == "status:" and ("," in value or _verdict(value) not in (None, "failed")):
        verdicts = [(one, _verdict(one)) for one in value.split(",") if one]
        unknown = [one for one, verdict in verdicts if verdict is None]
        if unknown:
            raise ValueError(_unknown_status(unknown[0]))
        return Condition("status", tuple(verdict for _, verdict in verdicts if verdict is not None), negated)
    if key in ("name:", "standing:"):
        return Condition(key[:-1], (value.lower(),), negated)
    if key in ("took:", "spans:"):
        match = (_TOOK if key == "took:" else _SPANS).fullmatch(value)
        if match is None:
            raise ValueError(f"{value!r} is not a comparison: write {KEYS[key].partition(':')[0]}")
        number = float(match[2]) * (_LENGTHS[match[3]] if key == "took:" else 1)
        return Condition(key[:-1], (match[1], str(round(number))), negated)
    return None


def _verdict(word: str) -> str | None:
    """Return the verdict that the word is, also as a screen writes it, with blanks, or with minus signs."""
    verdict = re.sub("[ -]", "_", word.lower())
    return verdict if verdict in _VERDICTS else None


def _unknown_status(value: str) -> str:
    return f"unknown status {value!r}: {', '.join(_STATUSES)} of an event; of a trace {', '.join(_VERDICTS)}"


def _require_data_condition(text: str) -> None:
    """Raise ValueError if no store takes the text as a condition on data."""
    match = _DATA.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not KEY=VALUE: write e.g. customer.tier=gold")
    if match[1].lstrip()[:1] in ("[", "{"):
        raise ValueError(f"{text!r} asks for a list or object: only text, numbers, true, false and null")


def _status(value: str) -> str:
    """Return the status of an event. Raise ValueError for an unknown status."""
    if value not in _STATUSES:
        raise ValueError(_unknown_status(value))
    return value


def parse_length(text: str) -> int | None:
    """Return a length of time such as 30m, 24h or 7d in microseconds; None for other text."""
    match = _AGO.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS[match[2]] * 1_000_000


def _moment(text: str) -> Moment:
    if (length := parse_length(text)) is not None:
        return Moment(length, ago=True)
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
    sign = "-" if word.startswith("-") else ""
    word = word.removeprefix("-")
    if word.startswith("status:"):
        found = [f"status:{status}" for status in dict.fromkeys((*_STATUSES, *_VERDICTS))]
    elif word.startswith(("since:", "until:")):
        found = [f"{word.partition(':')[0]}:{time}" for time in ("2h", "30m", "7d")]
    else:
        found = list(KEYS)
    return [sign + one for one in found if word and one.startswith(word) and one != word]
