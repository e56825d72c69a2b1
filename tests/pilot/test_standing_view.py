"""The view of standing steps: its rows, its order, and the way to the trace of a step."""

from __future__ import annotations

from shop import is_read, lines, shop

from sagas import UnreliableStore, event, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.scope import Scope
from sagatrace_tui.screens.trace import TraceScreen


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
        whole = "stage:credit  release_credit  loan-1  failed after 1 attempt; its ef…"
        assert whole in lines(app)[3], "the reason gets the width that short names and ids leave"
        await pilot.resize_terminal(200, 40)
        whole = "failed after 1 attempt; its effect is unknown · ConnectionError: bureau"
        await until(pilot, lambda: whole in lines(app)[3], "the error of the undo")
        await pilot.resize_terminal(80, 24)
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace")
        await until(pilot, lambda: "▌" in screen_text(app) and "loan-2" in screen_text(app), "its tree")
        assert any("▌" in line and "stage:credit" in line for line in lines(app))


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


async def test_the_longest_standing_step_is_in_sight_when_older_ones_are_read() -> None:
    store = UnreliableStore(one for n in range(120) for one in failed(f"t{n:03}", -60.0 * n))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "the list")
        await pilot.press("3")
        await until(pilot, lambda: "120 steps standing · last 24 h" in screen_text(app), "the whole window")
        assert "▌" in lines(app)[3]
        assert "t119" in lines(app)[3]
