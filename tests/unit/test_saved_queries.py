"""Queries with names: their meaning, and the positions of errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace_tui.incident.query import QueryError, parse_query
from sagatrace_tui.query_history import QueryHistory, SavedQueries


@pytest.fixture
def saved(tmp_path: Path) -> SavedQueries:
    saved = SavedQueries(tmp_path / "saved")
    saved.put("night", "status:failed since:10h")
    return saved


@pytest.mark.parametrize(
    ("text", "expanded", "name"),
    [
        ("@night tag:a", "status:failed since:10h tag:a", ""),
        ("tag:a  save:x", "tag:a", "x"),
        ("@night save:late", "status:failed since:10h", "late"),
        ('"user @bob  save:it"', '"user @bob  save:it"', ""),
        ('error:"mail to @bob"', 'error:"mail to @bob"', ""),
        ("mail=a@b.example", "mail=a@b.example", ""),
        ("", "", ""),
    ],
)
def test_names_are_replaced_by_their_queries(saved: SavedQueries, text: str, expanded: str, name: str) -> None:
    assert saved.parse(text) == (parse_query(expanded), expanded, name)


@pytest.mark.parametrize(
    ("text", "start", "end", "said"),
    [
        ("tag:a @day", 6, 10, "no saved query @day (known: @night)"),
        ("tag:a @night  since:2h", 14, 22, "since: is given twice"),
        ("since:2h @night", 9, 15, "since: is given twice"),
        ("tag:a save:", 6, 11, "save: needs a name"),
        ("save:x", 0, 6, "save: needs a query beside it"),
        ("save:x " + "e" * 600, 0, 607, "at most 500 characters"),
        ('@night save:x "open', 14, 19, "not closed"),
        ("@night took:5s", 7, 14, "is not a comparison"),
    ],
)
def test_a_wrong_query_says_where_it_was_typed(saved: SavedQueries, text: str, start: int, end: int, said: str) -> None:
    with pytest.raises(QueryError) as caught:
        saved.parse(text)
    assert said in str(caught.value)
    assert (caught.value.start, caught.value.end) == (start, end)


PARTS = st.sampled_from(["@night", "@", "@x", "save:", "save:a", '"', " ", "a=b", "since:1h", "-", "\n"])


@given(st.lists(PARTS | st.text(max_size=5)))
def test_any_text_is_a_query_or_is_wrong_somewhere_in_it(parts: list[str]) -> None:
    saved, text = SavedQueries(Path("/nowhere/saved")), "".join(parts)
    saved.put("night", "status:failed since:10h")
    fault: QueryError | None = None
    try:
        query, expanded, _ = saved.parse(text)
        assert parse_query(expanded) == query
    except QueryError as error:
        fault = error
    assert fault is None or 0 <= fault.start < fault.end <= len(text)


def test_a_name_has_its_latest_query_and_blanks_in_quotes_stay(tmp_path: Path) -> None:
    saved = SavedQueries(tmp_path / "saved")
    saved.put("a", "tag:a")
    saved.put("a", 'error:"two  blanks"')
    saved.save()
    assert SavedQueries(tmp_path / "saved").named == {"a": 'error:"two  blanks"'}
    assert QueryHistory(tmp_path / "saved").queries == ['a error:"two  blanks"']
