"""The mouse presses hints and folds rows. A row that a key goes to is not at the lower edge."""

from __future__ import annotations

import pytest

from sagas import UnreliableStore, event, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.span_tree import SpanTree


async def test_a_click_on_a_hint_presses_its_key() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        for hint, shown in (("Compensation", "STILL STANDING  1"), ("? Help", "Keys")):
            hints = screen_text(app).splitlines()[-1]
            await pilot.click(KeyHints, offset=(hints.index(hint) + 2, 0))
            await until(pilot, lambda shown=shown: shown in screen_text(app), shown)  # type: ignore[misc]


async def test_the_views_are_tabs_with_their_keys_and_a_click_chooses_one() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, is_demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the list")
        for tab, shown in (("[2] Failures", "FAILED AT"), ("[3] Standing", "REASON"), ("[1] Traces", "LAST ▾")):
            title = screen_text(app).splitlines()[0]
            assert title.startswith(" sagatrace  [1] Traces  [2] Failures  [3] Standing  ")
            await pilot.press("slash")
            await pilot.click(offset=(title.index(tab) + len(tab) - 1, 0))
            await until(pilot, lambda shown=shown: shown in screen_text(app), tab)  # type: ignore[misc]


async def test_a_click_on_the_sign_folds_and_unfolds() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        for sign, shown in (("▾", False), ("▸", True)):
            lines = screen_text(app).splitlines()
            row = next(at for at, line in enumerate(lines) if "stage:credit" in line and sign in line)
            await pilot.click(offset=(lines[row].index(sign), row))
            await until(pilot, lambda shown=shown: ("reserve_credit" in screen_text(app)) is shown, sign)  # type: ignore[misc]


@pytest.mark.parametrize("keys", [["e"], ["slash", *"needle", "enter"]], ids=["error", "find"])
async def test_a_row_gone_to_is_in_the_upper_third(keys: list[str]) -> None:
    events = [event("t", "wf", "workflow:loan:started", 0.0)]
    for number in range(120):
        name = "needle" if number == 60 else f"job_{number}"
        ending = "failed" if number == 60 else "completed"
        events += [event("t", name, f"{name}:{kind}", number + 1, "wf") for kind in ("started", ending)]
    app = SagatraceApp(UnreliableStore(events), trace_id="t", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "job_0" in screen_text(app) or "needle" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("g", *keys)
        await until(pilot, lambda: tree.highlighted == "needle", "the row")
        assert tree.cursor - tree.scroll_offset.y <= tree.page_height // 3 + 1
        assert "needle" in screen_text(app)
