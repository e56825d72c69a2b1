"""The views of many traces: the ways between them, their order, preview and queries, and their live updates."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import is_read, lines, shop
from textual.widgets import Input

from sagas import UnreliableStore, event, failed, screen_text, still, succeeded, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.query_history import SavedQueries
from sagatrace_tui.scope import Scope
from sagatrace_tui.widgets.preview import Preview
from sagatrace_tui.widgets.trace_list import TraceList


async def test_the_way_back_from_another_view_scrolls_no_row_away() -> None:
    many = UnreliableStore([one for number in range(80) for one in succeeded(f"loan-{number}", number)])
    app = SagatraceApp(many, clock=still)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        traces = app.screen.query_one(TraceList)
        await pilot.press("down", "down", "down", "2")
        await until(pilot, lambda: "No failures" in screen_text(app), "the failures")
        await pilot.press("1")
        await until(pilot, lambda: "LAST" in screen_text(app), "the traces")
        assert (traces.scroll_offset.y, traces.cursor) == (0, 3)
        await pilot.pause()
        assert (traces.scroll_offset.y, traces.cursor) == (0, 3)


@pytest.mark.parametrize("view", ["2", "3"])
async def test_a_key_that_sorts_traces_is_hinted_only_there_and_says_so_in_other_views(view: str) -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app) and "o Sort" in screen_text(app), "the list")
        await pilot.press(view, "o")
        await until(pilot, lambda: "Only the list of traces can be sorted" in screen_text(app), "the answer")
        assert "o Sort" not in screen_text(app)
        await pilot.press("1")
        await until(pilot, lambda: "o Sort" in screen_text(app), "the hint")


async def test_a_query_reaches_further_back() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("3", "slash", *"since:5d", "enter")
        await until(pilot, lambda: "old-1" in screen_text(app), "what stands since days ago")
        await pilot.press("2")
        await until(pilot, lambda: "last 120 h" in screen_text(app), "the window of the query")
        await until(pilot, lambda: any(line.lstrip("▌ ").startswith("3 ") for line in lines(app)[3:5]), "three alike")


async def test_the_view_does_not_report_zero_before_all_is_read() -> None:
    store = UnreliableStore(succeeded("good", 10))
    store.slow = True
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "reading" in screen_text(app), "a row that is not read")
        await pilot.press("3")
        await pilot.pause()
        assert "Nothing still stands" not in screen_text(app)
        store.free.release(1000)
        await until(pilot, lambda: "Nothing still stands" in screen_text(app), "the answer")
        assert "1 trace read, last 24 h." in screen_text(app)


@pytest.mark.parametrize("view", ["2", "3"])
async def test_a_saga_that_fails_appears_and_one_that_is_undone_disappears(view: str) -> None:
    store = UnreliableStore(succeeded("good", 10))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "good" in screen_text(app), "the list")
        await pilot.press(view)
        await until(pilot, lambda: "No failures" in screen_text(app) or "Nothing" in screen_text(app), "nothing")
        store.append(failed("bad", 30))
        shown = "InsufficientFunds" if view == "2" else "stage:credit"
        await until(pilot, lambda: shown in screen_text(app), "the failure, without a key")
        if view == "3":
            by_hand = {"original_span_id": "cre"}
            store.append(
                [
                    event("bad", "hand", "release_credit:compensating", 50, "wf", data=by_hand),
                    event("bad", "hand", "release_credit:compensated", 51, "wf"),
                ]
            )
            await until(pilot, lambda: "Nothing still stands" in screen_text(app), "nothing again")


async def test_escape_stops_a_long_reading() -> None:
    store = UnreliableStore(one for n in range(2_000) for one in succeeded(f"t{n:04}", -n))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        store.slow = True
        await pilot.press("3")
        await until(pilot, lambda: "Esc stops" in screen_text(app), "how to stop")
        await pilot.press("escape")
        store.slow = False
        store.free.release(100_000)
        await until(pilot, lambda: "stopped within the last 24 h" in screen_text(app), "that it was stopped")
        await until(pilot, lambda: "Nothing still stands in what was read" in screen_text(app), "what was found")
        assert "2,000 traces" not in screen_text(app)


async def test_the_next_failed_trace_is_one_key_away_from_inside_a_trace() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("e")
        assert any("▌" in line and "order-1" in line for line in lines(app))
        await pilot.press("E", "enter")
        for trace_id in ("order-1", "loan-2", "loan-1"):
            await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
            await pilot.press("J")
            await until(pilot, lambda name=trace_id: name in lines(app)[0] and "CAUSE" in screen_text(app), trace_id)
        await pilot.press("K")
        await until(pilot, lambda: "loan-2" in lines(app)[0], "the one before")
        await pilot.press("escape")
        await until(pilot, lambda: "LAST ▾" in screen_text(app), "the list")


async def test_the_order_of_the_list() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        first = {}
        for title in ("STARTED ▾", "TOOK ▾", "ERRORS ▾", "LAST ▾"):
            await pilot.press("o", "g")
            await until(pilot, lambda title=title: title in screen_text(app), title)
            first[title] = next(word for word in lines(app)[3].split() if "-" in word and "approval" not in word)
        assert first == {"STARTED ▾": "order-2", "TOOK ▾": "loan-4", "ERRORS ▾": "loan-2", "LAST ▾": "order-2"}


async def test_the_slowest_trace_of_the_window_is_found_and_not_only_among_the_newest() -> None:
    events = [one for n in range(200) for one in succeeded(f"t{n:03}", -10.0 * n)]
    slow = [event("slow", "wf", "workflow:x:started", -3_000), event("slow", "wf", "workflow:x:completed", -2_500)]
    app = SagatraceApp(UnreliableStore([*events, *slow]), clock=still)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("o", "o")
        await until(pilot, lambda: "last 24 h · 201 traces" in screen_text(app), "the whole window")
        assert "slow" in lines(app)[3]


async def test_the_next_failed_trace_may_be_further_down_than_what_was_read() -> None:
    good = [one for n in range(120) for one in succeeded(f"t{n:03}", -10.0 * n)]
    store = UnreliableStore([*good, *failed("bad", -2_000)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("e")
        await until(pilot, lambda: "No failed trace below yet: reading older" in screen_text(app), "the reason")
        await until(pilot, lambda: app.screen.query_one(TraceList).row_count == 99, "older ones")
        await pilot.press("e")
        await until(pilot, lambda: "121 traces" in screen_text(app), "all of them")
        await until(pilot, lambda: "reading" not in screen_text(app), "the verdict of each")
        await pilot.press("e")
        await until(pilot, lambda: any("▌" in line and "bad" in line for line in lines(app)), "the failed trace")
        await pilot.press("e")
        await until(pilot, lambda: "No failed trace below" in screen_text(app), "that there is no other")


async def test_a_query_that_no_trace_meets_is_no_all_clear() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("3", "slash", *"loam-1", "enter")
        await until(pilot, lambda: "No trace matches" in screen_text(app), "that nothing was looked at")
        assert "Nothing still stands" not in screen_text(app)


async def test_the_preview_is_of_the_trace_under_the_cursor() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        preview = app.screen.query_one(Preview)
        await pilot.press("e", "e")
        await pilot.pause()
        text = str(preview.render())
        assert "loan-2" in text
        assert "workflow:loan-approval → stage:funding → transfer_funds" in text
        assert "still standing: stage:credit · compensation failed after 1 attempt" in text
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert not preview.display


async def test_a_query_is_kept_by_name(tmp_path: Path) -> None:
    path = tmp_path / "saved-queries"
    app = SagatraceApp(shop(), clock=still, scope=Scope(saved=SavedQueries(path)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("slash", *"name:pay save:cards", "enter")
        await until(pilot, lambda: "loan-1" not in screen_text(app) and "order-1" in screen_text(app), "the match")
        await until(pilot, path.exists, "the file")
        await pilot.press("escape", "slash", *"@cards", "enter")
        await until(pilot, lambda: "loan-1" not in screen_text(app) and "order-1" in screen_text(app), "the same again")
        await pilot.press("slash")
        app.screen.query_one(Input).value = "@nothing"
        await pilot.press("enter")
        await until(pilot, lambda: "no saved query @nothing (known: @cards)" in screen_text(app), "that there is none")
    assert SavedQueries(path).named == {"cards": "name:pay"}


@pytest.mark.parametrize(("key", "shown"), [("3", "120 steps standing"), ("2", "1 kind of failure")])
async def test_a_view_entered_while_paused_reads_the_whole_window(key: str, shown: str) -> None:
    store = UnreliableStore(one for n in range(120) for one in failed(f"t{n:03}", -60.0 * n))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(160, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("f", key)
        shown = f"as of 10:01:15Z · {shown} · last 24 h · 120 traces"
        await until(pilot, lambda: f"paused (f resumes) · {shown}" in screen_text(app), "the whole window")
        store.append(failed("later", 60))
        await until(pilot, lambda: f"+1 change · {shown}" in screen_text(app), "a count of what is not shown")
        await pilot.press("r")
        await until(pilot, lambda: "paused · » Refreshed once" in screen_text(app), "one reading")
        await pilot.press("1")
        await until(pilot, lambda: "later" in lines(app)[3], "the trace that was read")


async def test_a_list_in_another_order_while_paused_is_of_the_whole_window() -> None:
    store = UnreliableStore(one for n in range(120) for one in failed(f"t{n:03}", -60.0 * n))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("f", "o")
        await until(pilot, lambda: app.screen.query_one(TraceList).row_count == 120, "the whole window")
