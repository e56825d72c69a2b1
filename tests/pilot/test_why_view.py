"""The why view of a trace with many failures, its keys, and a data value as a column."""

from __future__ import annotations

import pytest

from sagas import UnreliableStore, event, failed, screen_text, settlement, still, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree


def opened(events: list[TraceEvent]) -> SagatraceApp:
    return SagatraceApp(UnreliableStore(events), trace_id=events[0].trace_id, clock=still)


def rows(app: SagatraceApp, text: str) -> list[str]:
    """Return the rows of the tree that contain the text."""
    tree = app.screen.query_one(SpanTree)
    shown = ("".join(part for part, _ in tree.row(at, tree.size.width - 2)) for at in range(tree.row_count))
    return [row for row in shown if text in row]


async def test_why_shows_role_id_and_error_of_each_failure() -> None:
    app = opened(settlement("T7"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        await pilot.press("w")
        await until(pilot, lambda: "◆ cause  ◇ independent  ✘ consequence" in screen_text(app), "the legend")
        jobs = rows(app, "settle_order")
        assert jobs[0].strip().startswith("│ ├── ◆ …settle_order  …he-batch-0  AccountFrozenError: the acc"), jobs[0]
        assert all("◇ …settle_order  …" in row and "AccountFrozenError: the acc" in row for row in jobs[1:])
        assert len(jobs) == len({row[:44] for row in jobs}) == 29
        assert rows(app, "workflow")[0].split() == ["▾", "✘", "workflow:settlement", "5.00s"]
        assert not [row for row in rows(app, "") if set(row) & set("━╸╺─╴╶×") - {"─"}], "a bar"


@pytest.mark.parametrize(("width", "first"), [(80, "…00-0d5f3c…"), (120, "…00-0d5f3c…"), (200, "job-000-0d5f3c1e")])
async def test_why_shows_different_ids_that_begin_and_end_alike_without_packages(width: int, first: str) -> None:
    events = [event("T7", "w", "workflow:settlement:started", 0.0)]
    for number in range(12):
        job = f"job-{number:03}-0d5f3c1e"
        data = {"job_name": "warehouse.settlement.jobs.settle_order"}
        events.append(event("T7", job, "job:started", number + 0.1, "w", data=data))
        data = {"error": f"account {number} is frozen", "error_type": "warehouse.settlement.errors.FrozenError"}
        events.append(event("T7", job, "job:failed", number + 0.2, "w", data=data))
    events.append(event("T7", "w", "workflow:settlement:failed", 13.0))
    app = opened(events)
    async with app.run_test(size=(width, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        assert not rows(app, "CAUSE  wareh"), "the package hides the type of the error"
        await pilot.press("w")
        await until(pilot, lambda: "◆ cause  ◇ independent  ✘ consequence" in screen_text(app), "the legend")
        jobs = rows(app, "settle_order")
        assert jobs[0].split()[1:5] == ["◆", "…settle_order", first, "FrozenError:"]
        assert len({row.split()[3] for row in jobs}) == len(jobs) == 12
        assert all("FrozenError: acc" in row for row in jobs)


async def test_why_mutes_consequences_and_keeps_the_word_for_a_failed_undo() -> None:
    app = opened(failed("T7"))
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        await pilot.press("w")
        tree = app.screen.query_one(SpanTree)
        await until(pilot, lambda: tree.only is not None, "the view")
        parts = {text.strip(): tone for at in range(tree.row_count) for text, tone in tree.row(at, 98)}
        assert (parts["stage:funding"], parts["transfer_funds"], parts["◆"]) == ("muted", "cause", "cause")
        assert parts["undo failed"] == "bad"


async def test_e_walks_causes_and_independent_failures_beginning_at_the_cause() -> None:
    app = opened(settlement("T7"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "error 1 of 29 (+10 consequences)" in screen_text(app), "the first")
        tree = app.screen.query_one(SpanTree)
        seen = []
        for number in range(2, 31):
            await pilot.press("e")
            seen.append(tree.highlighted)
            assert tree.error_place == ((number - 1) % 29 + 1, 29)
        assert seen == [f"job-of-the-batch-{n}" for n in [*range(1, 36), 0] if n % 5 != 1]


async def test_the_cause_is_the_first_error_wherever_it_stands() -> None:
    app = opened(settlement("T7", earliest=20))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "error 1 of 29" in screen_text(app), "the first")
        tree = app.screen.query_one(SpanTree)
        assert tree.highlighted == "job-of-the-batch-20"
        await pilot.press("e")
        assert (tree.highlighted, tree.error_place) == ("job-of-the-batch-22", (2, 29))
        await pilot.press("E", "E")
        assert (tree.highlighted, tree.error_place) == ("job-of-the-batch-19", (29, 29))


@pytest.mark.parametrize("view", ["", "w"])
async def test_p_pins_a_key_of_data_as_a_column_and_unpins_it(view: str) -> None:
    app = opened(settlement("T7"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "error 1 of 29" in screen_text(app), "the cause")
        detail = app.screen.query_one(SpanDetail)
        await until(pilot, lambda: detail.row_count, "the detail")
        await pilot.press(*view, "tab")
        while detail.line is None or detail.line.path != ("order", "no"):
            assert detail.cursor < detail.row_count - 1
            detail.cursor += 1
        await pilot.press("p")
        await until(pilot, lambda: "no is a column of the tree; p again unpins" in screen_text(app), "the message")
        jobs = rows(app, "ORD-41")
        assert [row.split()[-2 if view else -3] for row in jobs][:2] == ["ORD-4100", "ORD-4102" if view else "ORD-4101"]
        assert len(jobs) == (29 if view else 36)
        await pilot.press("p")
        await until(pilot, lambda: not rows(app, "ORD-41"), "the tree without it")
        detail.cursor = 0
        await pilot.press("p")
        await until(pilot, lambda: "Only a value of the data can be a column" in screen_text(app), "why not")
