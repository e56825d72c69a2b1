"""The view of failures by kind: its rows, the traces of one kind, and groups by a key."""

from __future__ import annotations

import pytest
from shop import is_read, lines, refused, shop

from sagas import UnreliableStore, event, failed, screen_text, still, succeeded, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.scope import Scope
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.trace_list import TraceList


async def test_failures_of_one_kind_are_one_row_and_enter_lists_them() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("2")
        await until(pilot, lambda: "last 24 h · 8 traces" in screen_text(app), "the whole window")
        rows = [line.split() for line in lines(app)[3:5]]
        assert sorted(row[0].lstrip("▌") or row[1] for row in rows) == ["2", "2"]
        assert any("stage:pay CardError: card 60 is refused" in line for line in lines(app))
        assert any("transfer_funds InsufficientFunds" in line for line in lines(app))
        await pilot.press("enter")
        await until(pilot, lambda: "LAST ▾" in screen_text(app), "the traces of that kind")
        assert sum("order-" in line or "loan-" in line for line in lines(app)[3:30]) == 2
        await pilot.press("escape")
        await until(pilot, lambda: "OVER TIME" in screen_text(app), "the failures again")
        await pilot.press("escape")
        await until(pilot, lambda: "LAST ▾" in screen_text(app) and "loan-4" in screen_text(app), "all traces")


async def test_the_traces_of_a_kind_begin_at_the_newest_and_say_that_they_are_of_one_kind() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("G", "2")
        await until(pilot, lambda: "OVER TIME" in screen_text(app), "the failures")
        await pilot.press("enter")
        await until(pilot, lambda: "LAST ▾" in screen_text(app), "the traces of that kind")
        traces = app.screen.query_one(TraceList)
        assert [row.trace_id for row in traces.rows] == ["order-2", "order-1"]
        assert traces.highlighted is traces.rows[0], "Enter opens the newest, wherever the cursor stood in the list"
        app.screen.query_one(StateLine).hush()
        await until(pilot, lambda: "2 traces with one kind of failure · last 24 h" in screen_text(app), "the filter")
        await pilot.press("1")
        await until(pilot, lambda: "one kind" not in screen_text(app), "all traces")


async def test_no_trace_is_marked_as_new_on_the_way_back_from_one_kind() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("2")
        await until(pilot, lambda: "last 24 h · 8 traces" in screen_text(app), "the failures")
        await pilot.press("G", "enter")
        await until(pilot, lambda: "LAST ▾" in screen_text(app), "the older kind")
        assert [row.trace_id for row in app.screen.query_one(TraceList).rows] == ["loan-2", "loan-1"]
        await pilot.press("1")
        await until(pilot, lambda: "order-2" in screen_text(app), "all traces")
        assert not [line for line in lines(app) if line.startswith("+")]


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40)], ids=str)
async def test_like_failures_of_two_sagas_are_told_apart(size: tuple[int, int]) -> None:
    sagas = ("order", "refund")
    given = [one for n, saga in enumerate(sagas) for one in refused(f"{saga}-1", 30 + n, saga=saga)]
    app = SagatraceApp(UnreliableStore(given), clock=still)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("2")
        await until(pilot, lambda: "2 kinds of failure" in screen_text(app), "the failures")
        rows = lines(app)[3:5]
        assert all(any(f" {saga} " in row for row in rows) for saga in sagas), rows


async def test_the_query_new_finds_new_kinds_of_failure() -> None:
    old = [one for n in range(8) for one in failed(f"loan-{n}", 4.0 * n)]
    app = SagatraceApp(UnreliableStore([*old, *refused("order-1", 60)]), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "order-1" in screen_text(app), "the list")
        await pilot.press("slash", *"new", "enter")
        await until(pilot, lambda: "order-1" in screen_text(app) and "loan-" not in screen_text(app), "the new kind")


async def test_failures_are_grouped_by_a_key_of_data() -> None:
    rows = [one for n in range(6) for one in with_tier(refused(f"order-{n}", 10.0 * n), ("gold", "basic")[n % 3 == 0])]
    app = SagatraceApp(UnreliableStore(rows), clock=still, scope=Scope(keys=("loan_id",)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("slash", *"by:tier", "enter")
        await until(pilot, lambda: "2 kinds of failure · last 24 h" in screen_text(app), "the failures by tier")
        assert [line.lstrip("▌ ").split()[0] for line in lines(app)[3:5]] == ["4", "2"]
        assert [word for line in lines(app)[3:5] for word in ("gold ·", "basic ·") if word in line] == [
            "gold ·",
            "basic ·",
        ]
        await pilot.press("j", "enter")
        await until(pilot, lambda: "LAST ▾" in screen_text(app) and "order-3" in screen_text(app), "its traces")
        assert sum("order-" in line for line in lines(app)[3:20]) == 2


def with_tier(events: list[TraceEvent], tier: str) -> list[TraceEvent]:
    """Return the events. The first has the tier of the customer."""
    first = event(events[0].trace_id, "wf", "tier:known", 1, data={"tier": tier})
    return [*events, first]


async def test_known_kinds_of_failure_are_no_all_clear() -> None:
    old = [one for n in range(8) for one in failed(f"loan-{n}", 4.0 * n)]
    app = SagatraceApp(UnreliableStore([*old, *succeeded("good", 60)]), clock=still)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("2", "slash", *"new", "enter")
        await until(pilot, lambda: "No new kinds of failure" in screen_text(app), "that known kinds are hidden")
        assert "1 known kind of failure" in screen_text(app)
