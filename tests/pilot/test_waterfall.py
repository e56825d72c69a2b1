"""The waterfall of an open trace: zoom, the slowest spans, and its place on a large screen."""

from __future__ import annotations

import pytest

from sagas import UnreliableStore, event, failed, screen_text, settlement, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.model import Trace
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.views.landmarks import Landmarks, landmarks
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets import walking_rows
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree


def opened(trace_id: str = "T7") -> SagatraceApp:
    return SagatraceApp(UnreliableStore(failed(trace_id)), trace_id=trace_id, clock=still)


async def test_z_zooms_the_time_axis_to_a_span_and_escape_goes_back() -> None:
    app = opened()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("z")
        assert "+3.10s" in axis(app)
        assert "+3.40s" in axis(app)
        assert "←" in screen_text(app)
        await pilot.press("w", "escape")
        assert (tree.only, tree.zoom) == (None, "fuj"), "the view, which has no bars, goes first"
        await pilot.press("escape")
        assert isinstance(app.screen, TraceScreen)
        assert "+" not in axis(app)
        assert "4.50s" in axis(app)
        await until(pilot, lambda: "The time axis shows the whole trace" in screen_text(app), "no stale message")
        await pilot.press("g", "j", "j", "j", "z")
        await until(pilot, lambda: "This row has no duration to zoom to" in screen_text(app), "why not")
        await pilot.press("k", "z")
        assert "+2.60s" in axis(app), "the job"
        await pilot.press("z")
        assert "+" not in axis(app), "again shows all"


def axis(app: SagatraceApp) -> str:
    tree = app.screen.query_one(SpanTree)
    return "".join(text for text, _ in tree.header(100))


@pytest.mark.parametrize("large", [5_000, 1], ids=["now", "in a thread"])
async def test_l_goes_to_the_slowest_span_and_then_to_the_next(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking_rows, "_LARGE", large)
    app = opened()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        tree, seen = app.screen.query_one(SpanTree), []
        await until(pilot, lambda: "━" in screen_text(app), "the critical path")
        for key in ("L", "L", "L", "j", "L"):
            await pilot.press(key)
            seen.append(tree.highlighted)
        assert seen == ["crj", "und", "wf", "cre", "crj"]
        await until(pilot, lambda: "slowest 1 of 6: 2.30s of its own" in screen_text(app), "the message")


async def test_a_large_trace_that_changes_often_is_measured_only_once_in_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[Outline] = []

    def measuring(trace: Trace, outline: Outline) -> Landmarks:
        measured.append(outline)
        return landmarks(trace, outline)

    monkeypatch.setattr(walking_rows, "_LARGE", 1)
    monkeypatch.setattr(walking_rows, "_PAUSE", 3600.0)
    monkeypatch.setattr(walking_rows, "landmarks", measuring)
    app = opened()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "━" in screen_text(app), "the critical path")
        tree = app.screen.query_one(SpanTree)
        for _ in range(3):
            tree.subject = tree.subject
            await pilot.pause()
            await app.workers.wait_for_complete()
        assert len(measured) == 1


async def test_on_a_large_screen_the_detail_lies_below_and_the_waterfall_takes_half() -> None:
    app = opened()
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        tree, detail = app.screen.query_one(SpanTree), app.screen.query_one(SpanDetail)
        assert (tree.region.width, tree.region.bottom <= detail.region.y) == (200, True)
        await until(pilot, lambda: tree.region.height == tree.row_count + 1, "a tree no higher than its rows")
        assert detail.region.height > 40, "the detail takes the rest"
        bars = screen_text(app).splitlines()[tree.region.y].index("0  ")
        assert 85 <= bars <= 100
        await pilot.resize_terminal(160, 40)
        await until(pilot, lambda: tree.region.width == 160 and tree.region.bottom <= detail.region.y, "the same here")
        bars = screen_text(app).splitlines()[tree.region.y].index("0  ")
        assert 65 <= bars <= 80
        await pilot.resize_terminal(200, 30)
        await until(pilot, lambda: tree.region.right <= detail.region.x, "side by side where it is low")
        await pilot.resize_terminal(120, 60)
        await until(pilot, lambda: tree.region.width < 80, "side by side where it is narrow")


async def test_a_long_tree_leaves_room_for_the_detail() -> None:
    app = SagatraceApp(UnreliableStore(settlement("orders")), trace_id="orders", clock=still)
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        tree, detail = app.screen.query_one(SpanTree), app.screen.query_one(SpanDetail)
        await until(pilot, lambda: (tree.region.height, detail.region.height) == (33, 22), "both")
        await pilot.press("-")
        await until(pilot, lambda: tree.region.height == tree.row_count + 1 < 33, "a folded tree")


async def test_the_whole_row_of_the_cursor_is_highlighted() -> None:
    app = opened()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the cause")
        tree = app.screen.query_one(SpanTree)
        grounds = [
            {segment.style.bgcolor for segment in tree.render_line(tree.cursor + row) if segment.style is not None}
            for row in (1, 2)
        ]
        assert [len(found) for found in grounds] == [1, 1]
        assert grounds[0] != grounds[1]


async def test_a_trace_without_any_time_has_no_slowest_span() -> None:
    store = UnreliableStore([event("T7", "a", "ai:note", 0.0)])
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "ai:note" in screen_text(app), "the row")
        await pilot.press("L")
        await until(pilot, lambda: "No span has taken any time" in screen_text(app), "the message")
