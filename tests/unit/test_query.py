"""The query line: its meaning, and the positions of its faults."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace.errors import SearchError
from sagatrace.stores import DataIs, data_condition
from sagatrace.stores.memory import MemoryStore
from sagatrace_tui.incident.conditions import Condition
from sagatrace_tui.incident.query import KEYS, Moment, Query, QueryError, completions, parse_query
from sagatrace_tui.labels import VERDICTS
from sagatrace_tui.live.query_search import as_search
from sagatrace_tui.model import Verdict

HOUR = 3_600_000_000
INCOMPLETE = Condition("status", ("rollback_incomplete",))


def test_a_query_with_all_kinds_of_terms() -> None:
    query = parse_query('status:failed type:stage:funding loan_id=L123 since:2h tag:ai "insufficient funds" T-17')
    assert query == Query(
        status="failed",
        event_type="stage:funding:failed",
        tag="ai",
        error="insufficient funds",
        since=Moment(2 * HOUR, ago=True),
        word="T-17",
        data=("loan_id=L123",),
    )
    search = as_search(query, now=10 * HOUR, limit=50)
    assert (search.since, search.until, search.limit) == (8 * HOUR, None, 50)
    assert search.data == (DataIs(("loan_id",), ("L123",)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Query()),
        ("status:rollback-incomplete", Query(conditions=(Condition("status", ("rollback_incomplete",)),))),
        (
            'status:"rollback missing" since:2h',
            Query(conditions=(Condition("status", ("rollback_missing",)),), since=Moment(2 * HOUR, ago=True)),
        ),
        ("status:rollback_incomplete", Query(conditions=(Condition("status", ("rollback_incomplete",)),))),
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
        ('a "open', 2, 7, "not closed"),
        ('tag:a error:"open', 12, 17, "not closed"),
        ("tag:a a..b=1", 6, 12, "'a..b=1' is not KEY=VALUE: write e.g. customer.tier=gold"),
        ("a.b=[1]", 0, 7, "asks for a list or object"),
        (".".join("k" * 33) + "=1", 0, 67, "is not KEY=VALUE"),
        ("-.=1", 0, 4, "is not KEY=VALUE"),
        ("status:", 0, 7, "status: needs a value"),
        ("a=", 0, 2, "write key=value"),
        ("tag:a tag:b", 6, 11, "tag: is given twice"),
        ("one two", 4, 7, "a trace id or name is given twice"),
        (
            "status:failed AND loan_id=L1",
            14,
            17,
            "all terms must match anyway: leave it out; for an id write trace:AND",
        ),
        ("status:failed OR tag:b", 14, 16, "a query has no OR: status: takes several verdicts"),
        ("NOT tag:a", 0, 3, "write a minus before the term, like -tag:ai"),
        ("took:5s", 0, 7, "'5s' is not a comparison: write >5s, <=200ms, >2m"),
        ("a=b spans:>many", 4, 15, "'>many' is not a comparison"),
        ("status:failed,lost", 0, 18, "unknown status 'lost'"),
        ("-since:2h", 0, 9, "since: cannot be negated: until: is its opposite"),
        ("-new", 0, 4, "new cannot be negated"),
        ("-tag:", 0, 5, "tag: needs a value"),
    ],
)
def test_the_error_of_a_wrong_query_has_position_and_cause(text: str, start: int, end: int, said: str) -> None:
    with pytest.raises(QueryError, match=said.replace("(", r"\(")) as caught:
        parse_query(text)
    assert (caught.value.start, caught.value.end) == (start, end)


WILD = st.one_of(
    st.sampled_from(
        [*KEYS, *(f"-{key}" for key in KEYS), "=", "-", "new", "save:", "@", '"', "\\", ".", ",", "[", "{"]
    ),
    st.sampled_from(["a=b", "a..b=1", "a.b=[1]", "since:999999w", "until:9999-12-31T23:59:59.999999-23:59", "\ud800"]),
    st.sampled_from(["failed", "rollback-incomplete", ">5s", "<999999999d", "1e999", "NaN", "\x00", "0001-01-01"]),
    st.text(max_size=12),
)


@given(st.lists(WILD, max_size=8).map("".join) | st.lists(WILD, max_size=8).map(" ".join))
def test_any_text_is_a_query_that_a_store_takes_or_has_a_fault_at_a_position(text: str) -> None:
    fault, query = None, Query()
    try:
        query = parse_query(text)
    except QueryError as error:
        fault = error
    assert fault is None or (0 <= fault.start < fault.end <= len(text) and str(fault))
    for one in (query, *query.without):
        search = as_search(one, now=10 * HOUR, limit=1)
        assert MemoryStore().search(search) == []


@pytest.mark.parametrize(
    "word", ["a=1", 'a="1"', "a.b=x", "a\\.b=x", "a\\=b=x", "a=b=c", "a=b.c", "=a=b", "a\\=b", "a.=b", "a=[1]"]
)
def test_a_condition_on_data_is_wrong_exactly_if_it_is_for_a_store(word: str) -> None:
    try:
        data_condition(word)
    except SearchError:
        with pytest.raises(QueryError):
            parse_query(word)
    else:
        assert parse_query(word).data == (word,)


def test_completion_of_keys_and_values() -> None:
    assert completions("st") == ["status:", "standing:"]
    assert completions("tag:x -sta") == ["-status:", "-standing:"]
    assert completions("tag:x since:") == ["since:2h", "since:30m", "since:7d"]
    assert completions("status:f") == ["status:failed"]
    assert completions("status:failed") == completions("tag:a ") == []
    assert all(completions(key[:2]) for key in KEYS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_list_s_word_for_a_verdict_is_a_condition(verdict: Verdict) -> None:
    said = VERDICTS[verdict][1]
    for word in (f'"{said}"', said.replace(" ", "-"), verdict):
        query = parse_query(f"status:{word}")
        asked = Query(status="failed") if verdict == "failed" else Query(conditions=(Condition("status", (verdict,)),))
        assert query == asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("status:failed,rollback-incomplete", ("status", ("failed", "rollback_incomplete"))),
        ("-status:succeeded", ("status", ("succeeded",), True)),
        ("name:Book-Trip", ("name", ("book-trip",))),
        ("-book", ("name", ("book",), True)),
        ("took:>5s", ("took", (">", "5000000"))),
        ("took:<=1.5ms", ("took", ("<=", "1500"))),
        ("took:>2", ("took", (">", "2000000"))),
        ("spans:>=100", ("spans", (">=", "100"))),
        ("standing:stage:credit", ("standing", ("stage:credit",))),
    ],
)
def test_conditions_on_whole_traces(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert parse_query(text) == Query(conditions=(Condition(*expected),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host:web-1", Query(data=('host="web-1"',))),
        ("queue:loans a=b", Query(data=('queue="loans"', "a=b"))),
        ("-tag:ai", Query(without=(Query(tag="ai"),))),
        ('-"funds"', Query(without=(Query(error="funds"),))),
        ("-loan_id=L1", Query(without=(Query(data=("loan_id=L1",)),))),
        ("-status:failed", Query(without=(Query(status="failed"),))),
        ("-type:stage:x", Query(without=(Query(event_type="stage:x:started"),))),
        ("-trace:T1", Query(without=(Query(trace_prefix="T1"),))),
        ("new", Query(new=True)),
        ("-", Query(word="-")),
    ],
)
def test_negation_and_short_forms(text: str, expected: Query) -> None:
    assert parse_query(text) == expected
