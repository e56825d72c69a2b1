"""The query line: what it means, and where it makes no sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace.stores import DataIs
from sagatrace_tui.labels import VERDICTS
from sagatrace_tui.live import as_search
from sagatrace_tui.model import Verdict
from sagatrace_tui.views.query import KEYS, Moment, Query, QueryError, completions, parse_query

HOUR = 3_600_000_000


def test_the_whole_of_it() -> None:
    query = parse_query('status:failed type:stage:funding loan_id=L123 since:2h tag:ai "insufficient funds" T-17')
    assert query == Query(
        status="failed",
        event_type="stage:funding:failed",
        tag="ai",
        error="insufficient funds",
        since=Moment(2 * HOUR, ago=True),
        trace_prefix="T-17",
        data=("loan_id=L123",),
    )
    search = as_search(query, now=10 * HOUR, limit=50)
    assert (search.since, search.until, search.limit) == (8 * HOUR, None, 50)
    assert search.data == (DataIs(("loan_id",), ("L123",)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Query()),
        ("status:rollback-incomplete", Query(verdict="rollback_incomplete")),
        ('status:"rollback missing" since:2h', Query(verdict="rollback_missing", since=Moment(2 * HOUR, ago=True))),
        ("status:rollback_incomplete", Query(verdict="rollback_incomplete")),
        ("type:job:failed", Query(event_type="job:failed")),
        ("type:ai:decision", Query(event_type="ai:decision")),
        ("type:stage:funding", Query(event_type="stage:funding:started")),
        ("type:stage:funding status:success", Query(event_type="stage:funding:completed", status="success")),
        ("trace:loan:7", Query(trace_prefix="loan:7")),
        ('"no \\"key\\""', Query(error='no "key"')),
        ("error:timeout", Query(error="timeout")),
        ('customer.tier="5" a=b', Query(data=('customer.tier="5"', "a=b"))),
        ("since:2025-12-31T09:30+01:00", Query(since=Moment(1_767_169_800_000_000, ago=False))),
        ("until:1970-01-02", Query(until=Moment(86_400_000_000, ago=False))),
    ],
)
def test_each_condition(text: str, expected: Query) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    ("text", "start", "end", "said"),
    [
        ("tag:a status:fial", 6, 17, "unknown status 'fial': failed, success, pending"),
        ("since:yesterday", 0, 15, "'yesterday' is not a time"),
        ("x typ:job", 2, 9, "unknown key typ:"),
        ('a "open', 2, 7, "never closed"),
        ("status:", 0, 7, "status: needs a value"),
        ("a=", 0, 2, "write key=value"),
        ("tag:a tag:b", 6, 11, "tag: is given twice"),
        ("one two", 4, 7, "a trace id is given twice"),
    ],
)
def test_a_wrong_query_says_where_and_what(text: str, start: int, end: int, said: str) -> None:
    with pytest.raises(QueryError, match=said.replace("(", r"\(")) as caught:
        parse_query(text)
    assert (caught.value.start, caught.value.end) == (start, end)


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_a_fault_inside_it(text: str) -> None:
    fault: QueryError | None = None
    try:
        parse_query(text)
    except QueryError as error:
        fault = error
    assert fault is None or 0 <= fault.start < fault.end <= len(text)


def test_completion_of_keys_and_values() -> None:
    assert completions("st") == ["status:"]
    assert completions("tag:x since:") == ["since:2h", "since:30m", "since:7d"]
    assert completions("status:f") == ["status:failed"]
    assert completions("status:failed") == completions("tag:a ") == []
    assert all(completions(key[:2]) for key in KEYS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_what_the_list_says_of_a_trace_is_asked_for_in_the_same_words(verdict: Verdict) -> None:
    said = VERDICTS[verdict][1]
    for word in (f'"{said}"', said.replace(" ", "-"), verdict):
        query = parse_query(f"status:{word}")
        assert (query.verdict, query.status) in {(verdict, None), (None, verdict)}
