"""Build searches as Cosmos DB SQL. Every value is a parameter, and every key is a quoted name.

All versions of the service and the test server understand these queries. They use no GROUP BY, OFFSET or DISTINCT.
They use ORDER BY with one property only, as more would need a composite index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    "rest_query",
    "seen_query",
    "stored_timestamp",
    "traces_query",
]

IN_ONE_QUERY: Final = 100
"""Maximum number of traces that one query names. The service limits the length of a query."""
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


def _quoted(name: str) -> str:
    r"""Return a property name as a SQL string literal. All characters but ASCII letters, digits and `_` are escaped."""
    return '"' + re.sub(r"[^A-Za-z0-9_]", lambda sign: _escaped(sign[0]), name) + '"'


def _escaped(sign: str) -> str:
    units = sign.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def traces_query(trace_ids: Sequence[str]) -> Query:
    """Return the query for all documents of these traces, in no order."""
    return _Where(_one_of(trace_ids), *trace_ids).selecting("*")


def changes_query(trace_id: str | None, since: int, known: Sequence[str]) -> Query:
    """Return the query for documents of one trace, or of all, written since a second of the service's clock.

    It leaves out `known` versions and has no order. Without ORDER BY the service answers page by page, and each page
    names the place where the next one continues.
    """
    where = _Where(_OURS) if trace_id is None else _Where("c.trace_id = {}", trace_id)
    where.add("c._ts >= {}", since)
    if known:
        where.add("NOT ARRAY_CONTAINS({}, c._etag)", list(known))
    return where.selecting("*")


def seen_query(since: int) -> Query:
    """Return the query for the document versions written since that second, without their content."""
    return _Where(f"{_OURS} AND c._ts >= {{}}", since).selecting("c._etag, c._ts")


def begun_query(trace_ids: Sequence[str], *, until: int) -> Query:
    """Return the query for documents of these traces written up to that second. Each row names the trace."""
    return _Where(f"{_one_of(trace_ids)} AND c._ts <= {{}}", *trace_ids, until).selecting("c.trace_id, c._etag")


class Edge(NamedTuple):
    """A time in a search, and the operator that compares an event's time with it, such as `<=`."""

    sign: Literal["<", "<=", "="]
    at: str


def page_query(
    search: Search, columns: str, *, top: int | None, edge: Edge | None, left_out: Sequence[str], folds_case: bool
) -> Query:
    """Return the query for the `top` newest matching events at or past the edge, without the traces left out.

    Without `top`, return the query for all of them in no order.
    """
    where = _matching(search, folds_case=folds_case)
    if left_out:
        where.add(f"NOT ({_one_of(left_out)})", *left_out)
    if edge is not None:
        where.add(f"c.timestamp {edge.sign} {{}}", edge.at)
    if top is None:
        return where.selecting(columns)
    return where.selecting(f"TOP {int(top)} {columns}", " ORDER BY c.timestamp DESC")


def rest_query(trace_ids: Sequence[str], search: Search, edge: Edge | None) -> Query:
    """Return the query for the documents of these traces that no page holds, from the newest one to the edge."""
    bounds: list[tuple[str, str]] = [edge] if edge is not None else []
    for sign, micros in (("<", None if edge else search.since), (">=", search.until), (">=", search.before)):
        if micros is not None:
            bounds.append((sign, stored_timestamp(micros)))
    where = _Where(_one_of(trace_ids), *trace_ids)
    terms = ["NOT IS_STRING(c.timestamp)", *(f"c.timestamp {sign} {{}}" for sign, _ in bounds)]
    where.add(f"({' OR '.join(terms)})", *(at for _, at in bounds))
    return where.selecting("*")


class _Where:
    """The terms of a WHERE and their parameters."""

    def __init__(self, term: str, *values: Any) -> None:
        self._terms: list[str] = []
        self._values: list[Any] = []
        self.add(term, *values)

    def add(self, term: str, *values: Any) -> None:
        """Add a term. Each `{}` in the term becomes a parameter with the given value."""
        names = [f"@p{number}" for number in range(len(self._values), len(self._values) + len(values))]
        self._terms.append(term.format(*names))
        self._values += values

    def selecting(self, columns: str, order: str = "") -> Query:
        """Return the query for these columns of the documents."""
        parameters = [{"name": f"@p{number}", "value": value} for number, value in enumerate(self._values)]
        return f"SELECT {columns} FROM c WHERE {' AND '.join(self._terms)}{order}", parameters  # noqa: S608 - all bound


def _one_of(trace_ids: Sequence[str]) -> str:
    return f"c.trace_id IN ({', '.join(['{}'] * len(trace_ids))})"


def _matching(search: Search, *, folds_case: bool) -> _Where:
    """Return the terms for the events that match the search."""
    where = _Where(f"{_OURS} AND IS_STRING(c.timestamp)")
    if search.since is not None:
        where.add("c.timestamp >= {}", stored_timestamp(search.since))
    if search.until is not None:
        where.add("c.timestamp < {}", stored_timestamp(search.until))
    if search.before is not None:
        before = stored_timestamp(search.before)
        where.add("(c.timestamp < {} OR (c.timestamp = {} AND c.trace_id < {}))", before, before, search.before_trace)
    if search.trace_prefix:
        where.add("STARTSWITH(c.trace_id, {})", search.trace_prefix)
    if search.event_type:
        where.add("c.event_type = {}", search.event_type)
    if search.tag:
        where.add("ARRAY_CONTAINS(c.tags, {})", search.tag)
    if search.status is not None:
        phases = sorted(phase for phase, stands_for in CLOSING_PHASES.items() if stands_for == search.status)
        ends = " OR ".join(["c.event_type = {} OR ENDSWITH(c.event_type, {})"] * len(phases))
        implied = f" OR ((NOT IS_DEFINED(c.status) OR IS_NULL(c.status)) AND ({ends}))" if phases else ""
        where.add(
            f"(c.status = {{}}{implied})", search.status, *(end for phase in phases for end in (phase, f":{phase}"))
        )
    if search.error:
        # The third argument ignores case and uses the index; LOWER uses no index.
        term = "CONTAINS(c.data.{0}, {{}}, true)" if folds_case else "CONTAINS(LOWER(c.data.{0}), {{}})"
        wanted = search.error if folds_case else search.error.lower()
        where.add(f"({term.format('error')} OR {term.format('error_type')})", wanted, wanted)
    for condition in search.data:
        name = "c.data"
        for key in condition.path[:-1]:
            name += f"[{_quoted(key)}]"
            where.add(f"IS_OBJECT({name})")  # some servers take the positions of a list for keys
        name += f"[{_quoted(condition.path[-1])}]"
        where.add(f"({' OR '.join([f'{name} = {{}}'] * len(condition.values))})", *condition.values)
    return where
