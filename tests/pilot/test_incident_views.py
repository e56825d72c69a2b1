"""The three views of many traces: their content, the ways between them, and their live updates."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from sagas import UnreliableStore, event, failed, running, screen_text, still, succeeded, until
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.query_history import SavedQueries
from sagatrace_tui.scope import Scope
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.preview import Preview
from sagatrace_tui.widgets.trace_list import TraceList

DAY = 86_400.0


def refused(trace_id: str, at: float, saga: str = "order") -> list[TraceEvent]:
    """Return a saga that failed at its only step, without a step to undo."""
    error = {"error": f"card {at:.0f} is refused", "error_type": "CardError"}
    return [
        event(trace_id, "wf", f"workflow:{saga}:started", at, data={"workflow_id": saga}),
        event(trace_id, "pay", "stage:pay:started", at + 0.1, "wf"),
        event(trace_id, "pay", "stage:pay:failed", at + 0.2, "wf", data=error),
        event(trace_id, "wf", f"workflow:{saga}:failed", at + 0.3, data={"error": "no payment"}),
    ]


def shop() -> UnreliableStore:
    """Return six sagas of the last minute, and two of days ago."""
    return UnreliableStore(
        [
            *failed("loan-1", 1), *failed("loan-2", 20), *refused("order-1", 30), *succeeded("loan-3", 40),
            *running("loan-4", 50), *refused("order-2", 60), *failed("old-1", -2 * DAY), *refused("old-2", -3 * DAY),
        ]
    )  # fmt: skip


def is_read(app: SagatraceApp) -> bool:
    """Return whether the whole list is on screen, each trace with its verdict."""
    text = screen_text(app)
    return "traces · " in text and "reading" not in text


def lines(app: SagatraceApp) -> list[str]:
    return [line.rstrip() for line in screen_text(app).splitlines()]


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


async def test_all_standing_steps_are_one_list_and_enter_opens_the_step() -> None:
    app = SagatraceApp(shop(), clock=still, scope=Scope(keys=("loan_id",)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("3")
        await until(pilot, lambda: "last 24 h" in screen_text(app), "the whole window")
        shown = lines(app)[2:5]
        assert shown[0].split() == ["SINCE", "STEP", "UNDO", "TRACE", "LOAN_ID", "REASON"]
        assert "stage:credit" in shown[1]
        assert "loan-1" in shown[1]
        assert "L7" in shown[1]
        assert "loan-2" in shown[2]
        assert "old-1" not in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: lines(app)[2].split() == ["SINCE", "STEP", "UNDO", "TRACE", "REASON"], "80 columns")
        assert "stage:credit     release_credit    loan-1      failed after 1 attemp…" in lines(app)[3]
        await pilot.resize_terminal(200, 40)
        whole = "failed after 1 attempt; its effect is unknown · ConnectionError: bureau"
        await until(pilot, lambda: whole in lines(app)[3], "the error of the undo")
        await pilot.resize_terminal(80, 24)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace")
        await until(pilot, lambda: "▌" in screen_text(app) and "loan-2" in screen_text(app), "its tree")
        assert any("▌" in line and "stage:credit" in line for line in lines(app))


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
        assert "2,000 traces" not in screen_text(app)
        assert "Nothing still stands in what was read" in screen_text(app)


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


async def test_business_keys_named_like_columns_have_values_of_their_own() -> None:
    keys = {"step": "S-1", "trace": "T-1", "order": "lower", "ORDER": "upper"}
    known = event("bad", "wf", "keys:known", 1, data=keys)
    app = SagatraceApp(UnreliableStore([*failed("bad"), known]), clock=still, scope=Scope(keys=tuple(keys)))
    async with app.run_test(size=(200, 24)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "1 step standing · last 24 h" in screen_text(app), "the step")
        assert [word for word in lines(app)[3].split() if word in keys.values()] == list(keys.values())


async def test_the_next_trace_from_a_standing_step_is_that_of_the_next_step() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("3")
        await until(pilot, lambda: "2 steps standing · last 24 h" in screen_text(app), "the steps")
        await pilot.press("enter")
        await until(pilot, lambda: "loan-1" in lines(app)[0] and "CAUSE" in screen_text(app), "the longest standing")
        await pilot.press("J")
        await until(pilot, lambda: "loan-2" in lines(app)[0] and "CAUSE" in screen_text(app), "the next one")
        await pilot.press("J")
        await until(
            pilot, lambda: "nothing more to open below this trace" in screen_text(app), "that there is no other"
        )


async def test_a_query_that_no_trace_meets_is_no_all_clear() -> None:
    app = SagatraceApp(shop(), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: is_read(app), "the list")
        await pilot.press("3", "slash", *"loam-1", "enter")
        await until(pilot, lambda: "No trace matches" in screen_text(app), "that nothing was looked at")
        assert "Nothing still stands" not in screen_text(app)


async def test_new_also_filters_standing_steps() -> None:
    old = [one for n in range(8) for one in failed(f"loan-{n}", 4.0 * n)]
    other = [
        event("other", "wf", "workflow:ship:started", 50),
        event("other", "s", "stage:pack:started", 51, "wf", data={"compensation": "unpack"}),
        event("other", "s", "stage:pack:completed", 52, "wf"),
        event("other", "wf", "workflow:ship:failed", 60, data={"error": "no van"}),
    ]
    app = SagatraceApp(UnreliableStore([*old, *other]), clock=still)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("3", "slash", *"new", "enter")
        await until(pilot, lambda: "1 step standing · last 24 h" in screen_text(app), "the step of the new kind")
        assert "stage:pack" in lines(app)[3]


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


async def test_the_longest_standing_step_is_in_sight_when_older_ones_are_read() -> None:
    store = UnreliableStore(one for n in range(120) for one in failed(f"t{n:03}", -60.0 * n))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("3")
        await until(pilot, lambda: "120 steps standing · last 24 h" in screen_text(app), "the whole window")
        assert "▌" in lines(app)[3]
        assert "t119" in lines(app)[3]


@pytest.mark.parametrize(("key", "shown"), [("3", "120 steps standing"), ("2", "1 kind of failure")])
async def test_a_view_entered_while_paused_reads_the_whole_window(key: str, shown: str) -> None:
    store = UnreliableStore(one for n in range(120) for one in failed(f"t{n:03}", -60.0 * n))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(160, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("f", key)
        shown = f"{shown} · last 24 h · 120 traces"
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


async def test_known_kinds_of_failure_are_no_all_clear() -> None:
    old = [one for n in range(8) for one in failed(f"loan-{n}", 4.0 * n)]
    app = SagatraceApp(UnreliableStore([*old, *succeeded("good", 60)]), clock=still)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("2", "slash", *"new", "enter")
        await until(pilot, lambda: "No new kinds of failure" in screen_text(app), "that known kinds are hidden")
        assert "1 known kind of failure" in screen_text(app)
