"""All stores return the same results for random searches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_server import CosmosAccount
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import DataIs, EventStore, Search, TraceHit, open_store

KEYS = ["a", "b c", 'd"', "e.f", "ж", "\\"]
scalars = st.sampled_from(["x", "5", "", "'", '"', 5, 5.0, 1, 0.1, 2**53 + 1, True, False, None])
trees = st.recursive(
    scalars, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=3) | st.lists(inner, max_size=2)
)
names = st.sampled_from(["job", "stage:x", "failed", "ai:decision"])
phases = st.sampled_from(["", ":started", ":failed", ":completed", ":abandoned", ":compensated", ":stopped"])
statuses = st.sampled_from([None, "success", "failed", "pending"])
errors = st.sampled_from(["Boom", "BOOM 100%", "ünï", "Ünï"])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    data = draw(st.dictionaries(st.sampled_from(KEYS), trees, max_size=3))
    if draw(st.booleans()):
        data[draw(st.sampled_from(["error", "error_type"]))] = draw(errors | scalars)
    return {
        "trace": draw(st.sampled_from(["A", "B", "Bb", "C"])),
        "second": draw(st.integers(0, 9)),
        "event_type": draw(names) + draw(phases),
        "status": draw(statuses),
        "tags": draw(st.lists(st.sampled_from(["t", "u", "T"]), max_size=2)),
        "data": data,
    }


conditions = st.builds(
    DataIs,
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(tuple),
    st.lists(scalars, min_size=1, max_size=2).map(tuple),
)


@st.composite
def searches(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        "limit": st.integers(1, 4),
        "since": st.integers(0, 9),
        "until": st.integers(0, 9),
        "status": statuses,
        "event_type": st.builds(lambda name, phase: name + phase, names, phases),
        "tag": st.sampled_from(["t", "u", "v"]),
        "error": st.sampled_from(["boom", "o", "%", "ÜN", "5"]),
        "data": st.lists(conditions, min_size=1, max_size=2).map(tuple),
        "prefix": st.sampled_from(["A", "B", "Bb", "D"]),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(fields)), max_size=3))
    return {name: draw(fields[name]) for name in sorted(chosen)}


@pytest.fixture(scope="module")
def stores(account: CosmosAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EventStore]]:
    path: Path = tmp_path_factory.mktemp("answers") / "traces.db"
    others = [open_store("memory:"), open_store(f"sqlite:///{path}")]
    with account.store() as cosmos:
        yield [*others, cosmos]
    others[1].close()


examples = itertools.count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(stored=st.lists(events(), min_size=1, max_size=12), asked=st.lists(searches(), min_size=1, max_size=6))
def test_every_store_finds_the_same(
    stores: list[EventStore], stored: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    example = f"{next(examples)}-"
    written = [made(example, fields) for fields in stored]
    for store in stores:
        assert store.append(written) == len(written)
    start = at(0)
    for fields in asked:
        window = {name: start + fields[name] * 1_000_000 for name in ("since", "until") if name in fields}
        rest = {name: value for name, value in fields.items() if name not in ("since", "until", "prefix")}
        search = Search(trace_prefix=example + fields.get("prefix", ""), **{**rest, **window})
        answers = [paged(store, search) for store in stores]
        assert answers[1] == answers[0], f"sqlite differs on {search}"
        assert answers[2] == answers[0], f"cosmos differs on {search}"


def made(example: str, fields: dict[str, Any]) -> TraceEvent:
    return new_event(
        trace_id=example + fields["trace"],
        span_id="S",
        event_type=fields["event_type"],
        timestamp=f"2025-01-01T00:00:{fields['second']:02}.000000Z",
        status=fields["status"],
        tags=fields["tags"],
        data=fields["data"],
    )


def at(second: int) -> int:
    return made("", {"trace": "T", "second": second, "event_type": "x", "status": None, "tags": [], "data": {}}).micros


def paged(store: EventStore, search: Search) -> list[list[TraceHit]]:
    """Return the results of all pages."""
    pages = []
    while hits := store.search(search):
        pages.append(list(hits))
        search = search.after(hits[-1])
        assert len(pages) <= 50
    return pages
