"""Build searches as Cosmos DB SQL. Every value is a parameter, and every key is a quoted name.

All versions of the service and the test server understand these queries. They use no GROUP BY, OFFSET or DISTINCT.
They use ORDER BY with one property only, as more would need a composite index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from sagatrace.phases import CLOSING_PHASES
from sagatrace.stores.search import Search
from sagatrace.timestamps import utc_timestamp

__all__ = [
    "IN_ONE_QUERY",
    "Edge",
    "Query",
    "begun_query",
    "changes_query",
    "page_query",
    "quoted",
    "rest_query",
    "seen_query",
    "stored_timestamp",
    "trace_query",
    "traces_query",
]

IN_ONE_QUERY: Final = 100
"""Traces that one query names at most: the service limits its length."""
Query = tuple[str, list[dict[str, Any]]]
_OURS: Final = "IS_STRING(c.trace_id)"  # the container may hold foreign documents
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN: Final = (
    (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1),
    (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1),
)


def stored_timestamp(micros: int) -> str:
    """Return microseconds since 1970 as the timestamp of stored events, limited to years 1–9999."""
    return utc_timestamp(_EPOCH + timedelta(microseconds=min(max(micros, _SPAN[0]), _SPAN[1])))


def quoted(name: str) -> str:
    r"""Return a property name as a SQL string literal. All but ASCII letters, digits and `_` are `\uXXXX` escapes."""
    return '"' + re.sub(r"[^A-Za-z0-9_]", lambda sign: _escaped(sign[0]), name) + '"'


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def trace_query(trace_id: str) -> Query:
    """Return the query for all documents of one trace, in no order. Run it within the trace's partition."""
    return "SELECT * FROM c WHERE c.trace_id = @trace", [{"name": "@trace", "value": trace_id}]


def traces_query(trace_ids: Sequence[str]) -> Query:
    """Return the query for all documents of these traces, in no order."""
    names, parameters = _parameters(trace_ids)
    return f"SELECT * FROM c WHERE c.trace_id IN ({names})", parameters  # noqa: S608


def changes_query(trace_id: str | None, since: int, known: Sequence[str]) -> Query:
    """Return the query for documents of one trace, or of all, written since a second of the service's clock.

    It leaves out `known` versions and has no order. Without ORDER BY the service answers page by page, and each page
    names the place where the next one continues.
    """
    parameters: list[dict[str, Any]] = [{"name": "@since", "value": since}]
    query = f"SELECT * FROM c WHERE c._ts >= @since AND {_OURS if trace_id is None else 'c.trace_id = @trace'}"  # noqa: S608
    if trace_id is not None:
        parameters.append({"name": "@trace", "value": trace_id})
    if known:
        query += " AND NOT ARRAY_CONTAINS(@known, c._etag)"
        parameters.append({"name": "@known", "value": list(known)})
    return query, parameters


def seen_query(since: int) -> Query:
    """Return the query for the versions written since that second, without their content."""
    return f"SELECT c._etag, c._ts FROM c WHERE c._ts >= @since AND {_OURS}", [{"name": "@since", "value": since}]  # noqa: S608


def begun_query(trace_ids: Sequence[str], until: int) -> Query:
    """Return the query for those traces that have documents written up to that second, a row for each document."""
    names, parameters = _parameters(trace_ids)
    query = f"SELECT c.trace_id, c._etag FROM c WHERE c.trace_id IN ({names}) AND c._ts <= @until"  # noqa: S608
    return query, [*parameters, {"name": "@until", "value": until}]


def _parameters(values: Sequence[str]) -> tuple[str, list[dict[str, Any]]]:
    names = [f"@p{number}" for number in range(len(values))]
    return ", ".join(names), [{"name": name, "value": value} for name, value in zip(names, values, strict=True)]


class Edge(NamedTuple):
    """A time in a search, and the sign that compares an event's time with it: `<` and `<=` are past it."""

    sign: Literal["<", "<=", "="]
    at: str


def page_query(
    search: Search, columns: str, *, top: int | None, edge: Edge | None, left_out: Sequence[str], folds_case: bool
) -> Query:
    """Return the query for the `top` newest matching events at or past the edge, without the traces left out.

    Without `top`, return the query for all of them in no order.
    """
    conditions = _Conditions(search, left_out, folds_case=folds_case)
    if edge is not None:
        conditions.add(f"c.timestamp {edge.sign} {{}}", edge.at)
    most, order = ("", "") if top is None else (f"TOP {int(top)} ", " ORDER BY c.timestamp DESC")
    return f"SELECT {most}{columns} FROM c WHERE {' AND '.join(conditions.terms)}{order}", conditions.parameters  # noqa: S608


def rest_query(search: Search, trace_ids: Sequence[str], edge: Edge | None) -> Query:
    """Return the query for those documents of these traces that no page has, from the newest one to the edge."""
    names, parameters = _parameters(trace_ids)
    bounds: list[tuple[str, str]] = [edge] if edge is not None else []
    for sign, micros in (("<", None if edge else search.since), (">=", search.until), (">=", search.before)):
        if micros is not None:
            bounds.append((sign, stored_timestamp(micros)))
    terms = ["NOT IS_STRING(c.timestamp)"]
    for number, (sign, at) in enumerate(bounds):
        terms.append(f"c.timestamp {sign} @edge{number}")
        parameters.append({"name": f"@edge{number}", "value": at})
    return f"SELECT * FROM c WHERE c.trace_id IN ({names}) AND ({' OR '.join(terms)})", parameters  # noqa: S608


class _Conditions:
    """The terms of a WHERE and their parameters."""

    def __init__(self, search: Search, left_out: Sequence[str], *, folds_case: bool) -> None:
        self.terms: list[str] = [_OURS, "IS_STRING(c.timestamp)"]
        self.parameters: list[dict[str, Any]] = []
        if search.since is not None:
            self.add("c.timestamp >= {}", stored_timestamp(search.since))
        if search.until is not None:
            self.add("c.timestamp < {}", stored_timestamp(search.until))
        if search.before is not None:
            before = stored_timestamp(search.before)
            self.add(
                "(c.timestamp < {} OR (c.timestamp = {} AND c.trace_id < {}))", before, before, search.before_trace
            )
        if search.trace_prefix:
            self.add("STARTSWITH(c.trace_id, {})", search.trace_prefix)
        if search.event_type:
            self.add("c.event_type = {}", search.event_type)
        if search.tag:
            self.add("ARRAY_CONTAINS(c.tags, {})", search.tag)
        if search.status is not None:
            self._add_status(search.status)
        if search.error:
            # The third argument ignores case and uses the index; LOWER uses no index.
            term = "CONTAINS(c.data.{0}, {{}}, true)" if folds_case else "CONTAINS(LOWER(c.data.{0}), {{}})"
            wanted = search.error if folds_case else search.error.lower()
            self.add(f"({term.format('error')} OR {term.format('error_type')})", wanted, wanted)
        for condition in search.data:
            name = "c.data"
            for key in condition.path[:-1]:
                name += f"[{quoted(key)}]"
                self.terms.append(f"IS_OBJECT({name})")  # some servers take the positions of a list for keys
            name += f"[{quoted(condition.path[-1])}]"
            self._add_any((f"{name} = {{}}", value) for value in condition.values)
        if left_out:
            self.add(f"NOT (c.trace_id IN ({', '.join(['{}'] * len(left_out))}))", *left_out)

    def add(self, term: str, *values: Any) -> None:
        """Add a term. Each `{}` in it becomes a parameter with the value given for it."""
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
