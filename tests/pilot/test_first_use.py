"""Details of the app that matter to a new user."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from sagas import UnreliableStore, failed, many_alike, screen_text, still, succeeded, until
from sagatrace.event import TraceEvent
from sagatrace.stores import Search, TraceHits
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.screens.value import ValueScreen
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.rows import CURSOR
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree
from sagatrace_tui.widgets.trace_list import TraceList


class Deaf(UnreliableStore):
    """A store that blocks searches until the test releases them."""

    def __init__(self, events: Iterable[TraceEvent]) -> None:
        super().__init__(events)
        self.answer = threading.Event()

    def search(self, search: Search) -> TraceHits:
        assert self.answer.wait(300)
        return super().search(search)


def opened() -> SagatraceApp:
    return SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)


async def test_the_cursor_is_in_sight_when_all_spans_are_back_and_need_to_be_scrolled() -> None:
    app = opened()
    async with app.run_test(size=(40, 10)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("w")
        await until(pilot, lambda: "why: " in screen_text(app), "the few rows that answer why")
        await pilot.press("w")
        await until(pilot, lambda: "why: " not in screen_text(app), "all spans")
        assert CURSOR in screen_text(app)
        assert "CAUSE" in screen_text(app)


async def test_an_empty_list_keeps_the_state_and_the_hints_at_the_bottom() -> None:
    app = SagatraceApp(UnreliableStore(), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No traces yet" in screen_text(app), "the empty state")
        *_, state, hints = screen_text(app).splitlines()
        assert "0 traces" in state
        assert "q Quit" in hints
        assert "VERDICT" not in screen_text(app)


async def test_an_unreadable_trace_is_not_shown_as_read_and_r_retries() -> None:
    store = UnreliableStore(failed("T7"))
    store.cut_off = True
    app = SagatraceApp(store, trace_id="T7", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "The store could not be read" in screen_text(app), "the fault")
        top, *_, state, hints = screen_text(app).splitlines()
        assert top.split() == ["…", "not", "read", "T7"]
        assert "store unreachable" in state
        assert "q Back" in hints
        await pilot.press("r")
        assert "» Trying again" in screen_text(app).splitlines()[-2]
        store.cut_off = False
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")


async def test_a_long_search_is_shown_and_can_be_left() -> None:
    store = Deaf([*failed("T7", 1), *succeeded("T8", 20)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: re.search(r"Reading, \d+ s", screen_text(app)), "the time so far")
        store.answer.set()
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        assert "Reading, " not in screen_text(app)
        store.answer.clear()
        await pilot.press("slash", *"T8", "enter")
        await until(pilot, lambda: re.search(r"Searching, \d+ s", screen_text(app)), "the time so far")
        assert "Esc shows all traces again" in screen_text(app)
        store.answer.set()
        await pilot.press("escape")
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "all traces again")


async def test_the_reason_why_a_key_did_nothing_is_shown_briefly() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press("escape")
        assert "» All traces are shown" in screen_text(app)
        await until(pilot, lambda: "1 trace ·" in screen_text(app), "the state again, soon")
        await pilot.press("escape")
        await pilot.press("slash", *"T7", "enter")
        await until(pilot, lambda: "1 trace ·" in screen_text(app), "the match")
        assert "All traces are shown" not in screen_text(app)


async def test_find_without_a_match_says_so_and_escape_closes_the_line() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("slash", *"zzz", "enter")
        await until(pilot, lambda: "not found" in screen_text(app), "that")
        assert "n N next" not in screen_text(app)
        await pilot.press("n")
        assert "» No match: press / to find text" in screen_text(app)
        await pilot.press("escape")
        assert "zzz" not in screen_text(app)
        assert "CAUSE" in screen_text(app), "and the trace is not left"


async def test_find_shows_the_position_the_number_of_matches_and_the_way_back() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("slash", *"credit", "enter")
        await until(pilot, lambda: "3 of 3 spans · n N" in screen_text(app), "the place")
        await pilot.press("n")
        await until(pilot, lambda: "1 of 3 spans · n N" in screen_text(app), "the next one, around the end")
        await pilot.press("asterisk")
        assert "* all again" in screen_text(app)
        await pilot.press("asterisk")
        assert "* only these" in screen_text(app)


async def test_the_find_line_is_visible_on_40_columns() -> None:
    app = opened()
    async with app.run_test(size=(40, 12)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("slash", *"release_credit")
        await until(pilot, lambda: "/release_credit" in screen_text(app), "the typed text")
        await until(pilot, lambda: "2 of 2 " in screen_text(app), "the match")
        await pilot.resize_terminal(100, 24)
        await until(pilot, lambda: "2 of 2 spans · n N" in screen_text(app), "what to do with it, where it fits")
        await pilot.resize_terminal(40, 12)
        await until(pilot, lambda: "/release_credit" in screen_text(app), "the typed text again")


async def test_a_new_find_replaces_the_text_of_the_last_one() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("slash", *"credit", "enter", "slash", *"fund")
        await until(pilot, lambda: "/fund  " in screen_text(app), "the new text alone")


async def test_the_match_within_a_span_is_scrolled_into_view() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        assert "710" not in screen_text(app)
        await pilot.press("slash", *"710", "enter")
        await until(pilot, lambda: "- 710" in screen_text(app), "the value, far down in the detail")
        detail = app.screen.query_one(SpanDetail)
        assert detail.line is not None
        assert detail.line.value == 710
        assert {tone for _, tone in detail.row(detail.cursor, 60) if tone != "plain"} == {"found"}
        await pilot.press("escape")
        assert "found" not in {tone for _, tone in detail.row(detail.cursor, 60)}


async def test_find_in_the_compensation_view_shows_the_match() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("c")
        await until(pilot, lambda: "STILL STANDING" in screen_text(app), "the ledger")
        await pilot.press("slash", *"ai:dec", "enter")
        await until(pilot, lambda: f"{CURSOR}├── • ai:decision" in screen_text(app), "the span, in the tree")


async def test_the_message_about_a_copy_is_true_and_a_value_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("y")
        assert screen_text(app).splitlines()[-2].strip() == "» Copied the span id, 3 characters"
        await pilot.press("g", "tab", "slash", *"Ada", "enter", "tab", "y")
        assert "Not in your clipboard? Enter, S saves it" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ValueScreen), "the value whole")
        await until(pilot, lambda: "● 1 line" in screen_text(app), "how much there is")
        await pilot.press("S")
        await until(pilot, lambda: "» Saved " in screen_text(app), "that it is saved")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["Ada Lovelace"]


async def test_the_advice_on_a_copied_summary_fits_80_columns() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("Y")
        await until(pilot, lambda: "Not in your clipboard? S saves it" in screen_text(app), "the whole advice")


async def test_a_value_shows_its_keys_and_no_others() -> None:
    app = opened()
    async with app.run_test(size=(80, 40)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        app.push_screen(ValueScreen("stack", "a\nb"))
        await until(pilot, lambda: "y Copy   S Save   ? Help   Esc Back" in screen_text(app), "the value")
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys" in screen_text(app), "the help")
        assert "Save the value as a file" in screen_text(app)
        assert "Next error" not in screen_text(app)
        await pilot.press("escape", "colon")
        await until(pilot, lambda: "Copy the value" in screen_text(app), "the commands, that one among them")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace again")


async def test_a_colon_opens_the_commands_and_is_typed_into_a_line() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("colon")
        await until(pilot, lambda: "Search for commands" in screen_text(app), "the palette")
        await pilot.press("escape")
        await pilot.press("slash", *"ai", "colon", "d")
        await until(pilot, lambda: "/ai:d" in screen_text(app), "the typed text")


async def test_a_command_of_another_pane_is_not_offered_in_place_of_one_with_its_name() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Fold or unfold", "Next error, from any pane", "Back to the list", "First row"} <= offered
        assert not offered & {"Fold or unfold the value", "Forget what was found"}, "the tree would do it"
        await pilot.press("tab")
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert "Fold or unfold the value" in offered


async def test_the_error_of_a_query_is_shown_whole_on_80_columns() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press("slash", *"T7 job:failed x")
        await until(pilot, lambda: "unknown key job:" in screen_text(app), "the fault")
        _, typed, marks, *message = screen_text(app).splitlines()
        assert marks.index("^") == typed.index("job:")
        assert "for an id write trace:job:failed" in " ".join(line.strip() for line in message[:3])
        assert "VERDICT" in "".join(message[:3])


async def test_the_typed_text_survives_a_walk_through_the_history() -> None:
    history = QueryHistory(Path("/nowhere"))
    history.queries = ["status:failed", "tag:ai"]
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, history=history)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        line = app.screen.query_one(QueryLine).input
        went = []
        await pilot.press("slash", *"tag:a")
        for key in ("up", "up", "up", "down", "down", "down"):
            await pilot.press(key)
            went.append(line.value)
        assert went == ["status:failed", "tag:ai", "tag:ai", "status:failed", "tag:a", "tag:a"]
        await pilot.press("i", "up")
        assert line.value == "status:failed"
        await pilot.press("down")
        assert line.value == "tag:ai"


async def test_a_query_is_edited_from_its_end() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        line = app.screen.query_one(QueryLine).input
        await pilot.press("slash", *"T7 xyz:a", "enter")
        assert line.cursor_position == 3, "where it is wrong"
        await pilot.press("escape", "slash", *"T7", "home", "enter")
        await until(pilot, lambda: "1 trace ·" in screen_text(app), "the match")
        await pilot.press("slash", *" tag:ai")
        assert line.value == "T7 tag:ai"


async def test_a_query_with_the_list_s_word_for_a_trace_finds_it() -> None:
    store = UnreliableStore([*failed("T7", 1), *succeeded("T8", 20)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "2 traces" in screen_text(app), "the list")
        await pilot.press("slash", *"status:rollback_i", "tab", "enter")
        await until(pilot, lambda: "1 trace ·" in screen_text(app), "the match")
        assert "T7" in screen_text(app)
        store.append(failed("T9", 40))
        await until(pilot, lambda: "2 traces" in screen_text(app), "the added trace")
        assert "T8" not in screen_text(app)


@pytest.mark.parametrize("width", [120, 80, 60, 40])
async def test_the_header_of_a_trace_has_the_verdict_of_the_list(width: int) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(width, 24)) as pilot:
        listed = "⚠ rollback incomplete" if width > 40 else "⚠ rollback i"
        await until(pilot, lambda: listed in screen_text(app), "the list")
        await pilot.press("enter")
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        top = screen_text(app).splitlines()[0]
        assert top.startswith(" ⚠ rollback incomplete")
        assert "T7" in top


async def test_a_second_click_opens() -> None:
    app = SagatraceApp(UnreliableStore([*failed("T7", 1), *succeeded("T8", 20)]), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.click(TraceList, offset=(5, 2))
        assert f"{CURSOR}⚠ rollback incomplete" in screen_text(app)
        await pilot.click(TraceList, offset=(5, 2), times=2)
        await until(pilot, lambda: isinstance(app.screen, TraceScreen), "the trace")
        await until(pilot, lambda: "CAUSE" in screen_text(app), "its tree")


async def test_the_hint_of_a_view_names_the_key_that_leaves_it() -> None:
    app = opened()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        for keys, message, back in (("w", "w All ", "w Why"), ("c", "c All ", "c Compensation")):
            await pilot.press(keys)
            await until(pilot, lambda message=message: message in screen_text(app), f"{message} in the view of {keys}")
            assert "f Pause" in screen_text(app)
            await pilot.press(keys)
            await until(pilot, lambda back=back: back in screen_text(app), f"{back} outside of it")


async def test_the_search_line_shows_its_hint_after_tab_and_mouse() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press("tab")
        await until(pilot, lambda: "Tab completes" in screen_text(app), "what can be typed")
        await pilot.press("escape")
        assert "Tab completes" not in screen_text(app)
        await pilot.click(QueryLine, offset=(20, 0))
        await until(pilot, lambda: "Tab completes" in screen_text(app), "what can be typed")


@pytest.mark.parametrize("is_demo", [False, True])
async def test_q_asks_before_it_ends_the_demo(is_demo: bool) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, is_demo=is_demo)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press("q")
        if is_demo:
            await until(pilot, lambda: "sagatrace export --store demo" in screen_text(app), "the question")
            assert "removes its traces" in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda: "Quit the demo?" not in screen_text(app), "the list again")
            assert app.is_running
            await pilot.press("q", "q")
        await until(pilot, lambda: not app.is_running, "the end")


async def test_a_group_of_equal_spans_unfolds_after_fold_all() -> None:
    app = SagatraceApp(UnreliableStore(many_alike("T7", 30)), trace_id="T7", clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "×30" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("minus", "j", "enter")
        assert tree.row_count == 33
        await pilot.press("space")
        assert tree.row_count == 3
        await pilot.press("minus", "slash", *"n17", "enter")
        await until(pilot, lambda: "1 of 1 span" in screen_text(app), "the match")
        assert tree.highlighted == "n17"
