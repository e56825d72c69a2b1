"""Searches as Cosmos DB SQL: parameters for every value, quoted names for every key, nothing pasted.

The subset that all versions of the service and the test server understand: no GROUP BY, OFFSET or DISTINCT, and
ORDER BY one property only, as more would need a composite index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sagatrace.event import CLOSING_PHASES, utc_timestamp
from sagatrace.stores.search import Search

__all__ = [
    "Query",
    "changes_query",
    "newest_query",
    "quoted",
    "search_query",
    "stored_timestamp",
    "ties_query",
    "trace_query",
]

Query = tuple[str, list[dict[str, Any]]]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN: Final = (
    (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1),
    (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1),
)


def stored_timestamp(micros: int) -> str:
    """Microseconds since 1970 as the text that stored events carry; moments outside years 1–9999 at their edge."""
    return utc_timestamp(_EPOCH + timedelta(microseconds=min(max(micros, _SPAN[0]), _SPAN[1])))


def quoted(name: str) -> str:
    r"""A property name as a SQL string literal: all but ASCII letters, digits and `_` as `\uXXXX` escapes."""
    return '"' + re.sub(r"[^A-Za-z0-9_]", lambda sign: _escaped(sign[0]), name) + '"'


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def trace_query(trace_id: str) -> Query:
    """Everything of one trace, oldest first; to be scoped to the trace's partition."""
    return "SELECT * FROM c WHERE c.trace_id = @trace ORDER BY c.timestamp", [{"name": "@trace", "value": trace_id}]


def changes_query(trace_id: str | None, since: int) -> Query:
    """What was written at that second or later, by the service's own clock: of one trace, or of all, oldest first."""
    parameters: list[dict[str, Any]] = [{"name": "@since", "value": since}]
    if trace_id is None:
        return "SELECT * FROM c WHERE c._ts >= @since ORDER BY c._ts", parameters
    parameters.append({"name": "@trace", "value": trace_id})
    return "SELECT * FROM c WHERE c.trace_id = @trace AND c._ts >= @since", parameters


def newest_query() -> Query:
    """What was written last."""
    return "SELECT TOP 1 c._ts FROM c ORDER BY c._ts DESC", []


def search_query(search: Search, *, top: int, edge: str | None, seen: Sequence[str]) -> Query:
    """The `top` newest matching events older than the `edge`, of traces not `seen` yet."""
    conditions = _Conditions(search, seen)
    if edge is not None:
        conditions.add("c.timestamp < {}", edge)
    elif search.before is not None:
        before = stored_timestamp(search.before)
        conditions.add(
            "(c.timestamp < {} OR (c.timestamp = {} AND c.trace_id < {}))", before, before, search.before_trace
        )
    where = f" WHERE {' AND '.join(conditions.terms)}" if conditions.terms else ""
    query = f"SELECT TOP {int(top)} c.trace_id, c.timestamp FROM c{where} ORDER BY c.timestamp DESC"  # noqa: S608
    return query, conditions.parameters


def ties_query(search: Search, *, at: str, seen: Sequence[str]) -> Query:
    """Every matching event of exactly that timestamp, of traces not `seen` yet."""
    conditions = _Conditions(search, seen)
    conditions.add("c.timestamp = {}", at)
    if search.before is not None and at == stored_timestamp(search.before):
        conditions.add("c.trace_id < {}", search.before_trace)
    return f"SELECT c.trace_id, c.timestamp FROM c WHERE {' AND '.join(conditions.terms)}", conditions.parameters  # noqa: S608


class _Conditions:
    """The terms of a WHERE and their parameters."""

    def __init__(self, search: Search, seen: Sequence[str]) -> None:
        self.terms: list[str] = []
        self.parameters: list[dict[str, Any]] = []
        if search.since is not None:
            self.add("c.timestamp >= {}", stored_timestamp(search.since))
        if search.until is not None:
            self.add("c.timestamp < {}", stored_timestamp(search.until))
        if search.trace_prefix:
            self.add("STARTSWITH(c.trace_id, {})", search.trace_prefix)
        if search.event_type:
            self.add("c.event_type = {}", search.event_type)
        if search.tag:
            self.add("ARRAY_CONTAINS(c.tags, {})", search.tag)
        if search.status is not None:
            self._add_status(search.status)
        if search.error:
            wanted = search.error.lower()
            self.add("(CONTAINS(LOWER(c.data.error), {}) OR CONTAINS(LOWER(c.data.error_type), {}))", wanted, wanted)
        for condition in search.data:
            name = "c.data"
            for key in condition.path[:-1]:
                name += f"[{quoted(key)}]"
                self.terms.append(f"IS_OBJECT({name})")  # a list has no keys, though some servers count them as such
            name += f"[{quoted(condition.path[-1])}]"
            self._add_any((f"{name} = {{}}", value) for value in condition.values)
        if seen:
            self.add("NOT ARRAY_CONTAINS({}, c.trace_id)", list(seen))

    def add(self, term: str, *values: Any) -> None:
        """Add a term; each `{}` in it becomes a parameter with the value given for it."""
        self.terms.append(self._bound(term, values))

    def _bound(self, term: str, values: Iterable[Any]) -> str:
        names = []
        for value in values:
            names.append(f"@p{len(self.parameters)}")
            self.parameters.append({"name": names[-1], "value": value})
        return term.format(*names)

    def _add_any(self, alternatives: Iterable[tuple[str, Any]]) -> None:
        self.terms.append(f"({' OR '.join(self._bound(term, (value,)) for term, value in alternatives)})")

    def _add_status(self, status: str) -> None:
        own = self._bound("c.status = {}", (status,))
        implied = []
        for phase in sorted(phase for phase, stands_for in CLOSING_PHASES.items() if stands_for == status):
            implied.append(self._bound("c.event_type = {}", (phase,)))
            implied.append(self._bound("ENDSWITH(c.event_type, {})", (f":{phase}",)))
        if not implied:
            self.terms.append(own)
            return
        unsaid = "(NOT IS_DEFINED(c.status) OR IS_NULL(c.status))"
        self.terms.append(f"({own} OR ({unsaid} AND ({' OR '.join(implied)})))")
