"""Find in a trace, open long values, copy, and use the command palette."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from sagas import UnreliableStore, event, failed, screen_text, still, succeeded, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.incident.query import QueryError, parse_query
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.screens.clipboard import save_text
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.value import ValueScreen
from sagatrace_tui.widgets.find_line import FindLine
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree


def opened(*more: object) -> SagatraceApp:
    return SagatraceApp(UnreliableStore([*failed("T7"), *more]), trace_id="T7", clock=still)  # type: ignore[list-item]


async def test_find_marks_n_walks_star_filters_and_escape_cancels() -> None:
    app = opened()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("slash", *"credit")
        await until(pilot, lambda: "3 spans · n N" in screen_text(app), "what was found")
        assert tree.matches == {"cre", "crj", "und"}
        await pilot.press("enter")
        went = []
        for key in ("n", "n", "N", "g", "n"):
            await pilot.press(key)
            went.append(tree.highlighted)
        assert went == ["cre", "crj", "cre", "wf", "cre"]
        await pilot.press("asterisk")
        assert [tree.outline and tree.outline.ids[place] for place in tree._rows] == ["wf", "cre", "crj", "und"]
        await pilot.press("asterisk")
        assert tree.row_count == 7
        await pilot.press("escape")
        assert not tree.matches
        assert "3 spans" not in screen_text(app)


async def test_a_line_that_opens_right_after_the_other_pane_keeps_the_focus() -> None:
    app = opened()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        for action in ("other_pane", "find"):  # with nothing in between, as for two keys at once
            await app.run_action(action, app.screen)
        await pilot.pause()
        await pilot.press(*"credit")
        assert app.screen.query_one(FindLine).query_one(Input).value == "credit"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("loan_id=L7", {"wf"}),
        ("applicant.name=Ada Lovelace", {"wf"}),
        ("attempt=2", {"crj"}),
        ("attempt=3", set()),
        ("score=0.83", {"ai"}),
        ("CAUSE", {"fuj"}),
        ("still standing", {"cre"}),
        ("rollback incomplete", {"wf"}),
        ("undo failed", {"und"}),
        ("consequence", {"wf", "fun"}),
        ("success", {"cre", "crj"}),
    ],
)
async def test_a_condition_on_data_and_the_words_on_the_screen_are_found(typed: str, found: set[str]) -> None:
    app = opened()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("slash", *typed)
        line = app.screen.query_one(FindLine)
        await until(pilot, lambda: line.found not in ("", "finding …"), "the end of the search")
        await until(pilot, lambda: tree.matches == found, f"{sorted(found)}")
        assert found or line.found == "not found"


async def test_keys_that_arrive_with_the_slash_are_typed_into_the_line() -> None:
    app = opened()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("slash", "c", "w", "slash", "q")
        await until(pilot, lambda: "/cw/q" in screen_text(app), "all of it")


async def test_w_shows_the_path_to_the_cause_and_again_all_spans() -> None:
    app = opened()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        tree = app.screen.query_one(SpanTree)
        await pilot.press("g", "w")
        assert (tree.highlighted, tree.row_count) == ("fuj", 4)
        await until(pilot, lambda: "why: 4 of 7 spans" in screen_text(app), "what it shows")
        await pilot.press("w")
        assert tree.row_count == 7


async def test_why_of_a_succeeded_trace_says_that_nothing_failed() -> None:
    app = SagatraceApp(UnreliableStore(succeeded("T1")), trace_id="T1", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "stage:validate" in screen_text(app), "the tree")
        await pilot.press("w")
        await until(pilot, lambda: "Nothing failed in this trace" in screen_text(app), "that")


@pytest.mark.parametrize("key", ["e", "w"])
async def test_keys_to_failures_do_not_deny_a_recovered_failure(key: str) -> None:
    retried = [
        event("T1", "pay", "job:started", 0.2, "wf"),
        event("T1", "pay", "job:retrying", 0.3, "wf", data={"error": "no answer"}),
        event("T1", "pay", "job:started", 0.4, "wf"),
        event("T1", "pay", "job:completed", 0.5, "wf"),
    ]
    app = SagatraceApp(UnreliableStore([*succeeded("T1"), *retried]), trace_id="T1", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "succeeded · 1 failure recovered" in screen_text(app), "the sentence")
        await pilot.press(key)
        await until(pilot, lambda: "» No failure remains: 1 failure recovered" in screen_text(app), "the note")
        assert "Nothing failed" not in screen_text(app)


async def test_w_in_the_list_leads_straight_to_the_cause() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press("w")
        await until(pilot, lambda: "why: 4 of 7 spans" in screen_text(app), "why")
        assert app.screen.query_one(SpanTree).highlighted == "fuj"


async def test_a_long_value_opens_whole_and_is_copied_inert() -> None:
    app = opened(event("T7", "wf", "ai:note", 4.0, data={"blob": "\x1b[2J" + "word " * 3000}))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        await pilot.press("g", "tab")
        await until(pilot, lambda: "workflow:loan-approval" in _title(app), "the root's detail")
        detail = app.screen.query_one(SpanDetail)
        rows = ["".join(text for text, _ in detail.row(at, 60)) for at in range(detail.row_count)]
        detail.cursor = next(at for at, row in enumerate(rows) if "blob:" in row)
        await pilot.press("enter")
        assert isinstance(app.screen, ValueScreen)
        await until(pilot, lambda: "15.0k characters" in screen_text(app), "its size")
        assert "␛[2Jword word" in screen_text(app)
        await pilot.press("y")
        assert app.clipboard.startswith("␛[2Jword word")
        await pilot.press("escape")
        assert app.screen.query_one(SpanDetail).has_focus


def _title(app: SagatraceApp) -> str:
    detail = app.screen.query_one(SpanDetail)
    return "".join(text for text, _ in detail.row(0, 60)) if detail.row_count else ""


def test_saved_summaries_never_overwrite_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [save_text(f"text {number}", "../T 7\x1b") for number in range(2)]
    assert [path.name for path in paths] == ["sagatrace-T-7.md", "sagatrace-T-7-2.md"]
    assert [path.read_text() for path in paths] == ["text 0", "text 1"]


async def test_the_palette_has_every_action_of_the_screen() -> None:
    app = opened()
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the tree")
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert {"Theme", "Next error, from any pane", "Unfold all", "To the other pane", "Quit immediately"} <= set(
            titles
        )
        await pilot.press("ctrl+p")
        await pilot.press(*"Compensations")
        await until(
            pilot,
            lambda: "Compensations and" in screen_text(app) and "Screen, key c" in screen_text(app),
            "the command",
        )
        await pilot.press("enter")
        await until(pilot, lambda: "STILL STANDING" in screen_text(app), "what it does")


async def test_a_query_finds_names_its_error_completes_and_is_remembered(tmp_path: Path) -> None:
    store = UnreliableStore([*failed("T-bad", 1), *succeeded("T-good", 20), *succeeded("X-good", 30)])
    history = QueryHistory(tmp_path / "state" / "recent")
    app = SagatraceApp(store, clock=still, history=history)
    async with app.run_test(size=(110, 24)) as pilot:
        await until(pilot, lambda: "3 traces" in screen_text(app), "the list")
        await pilot.press("slash", *"sta", "tab")
        line = app.screen.query_one(QueryLine)
        assert line.input.value == "status:"
        await pilot.press(*"fail")
        await until(pilot, lambda: "status: failed, success, pending" in screen_text(app), "what it may become")
        await pilot.press("enter")
        await until(pilot, lambda: "unknown status 'fail': failed" in screen_text(app), "the fault")
        assert screen_text(app).splitlines()[2].strip() == "^^^^^^^^^^^"
        assert line.input.has_focus
        line.input.value = "status:failed"
        await pilot.press("enter")
        await until(pilot, lambda: "1 trace ·" in screen_text(app) and "T-bad" in screen_text(app), "what it finds")
        assert "T-good" not in screen_text(app)
        await pilot.press("slash")
        line.input.value = '"no such error"'
        await pilot.press("enter")
        await until(pilot, lambda: "No trace matches" in screen_text(app), "that there is none")
        await pilot.press("slash", "up")
        assert line.input.value == "status:failed"
        await pilot.press("escape", "escape")
        await until(pilot, lambda: "3 traces" in screen_text(app), "all again")
        assert isinstance(app.screen, SearchScreen)
    assert QueryHistory(tmp_path / "state" / "recent").queries == ['"no such error"', "status:failed"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("L104", 'KEY=L104 finds a value of the data, "L104" text of an error.'),
        ("Failed", "status:failed finds traces by their verdict. KEY=Failed finds"),
    ],
)
async def test_a_word_that_finds_nothing_is_explained(word: str, hint: str) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *word, "enter")
        await until(pilot, lambda: "No trace matches" in screen_text(app), "that there is none")
        assert hint in " ".join(screen_text(app).split())


@pytest.mark.parametrize("query", ["error:x took:5", "id=1 spans:many tag:a", f"error:{'x' * 120} since:soon"])
async def test_a_wrong_term_of_a_query_is_marked_in_its_whole_length(query: str) -> None:
    with pytest.raises(QueryError) as wrong:
        parse_query(query)
    app = SagatraceApp(UnreliableStore(), clock=still)
    async with app.run_test(size=(220, 24)) as pilot:
        await pilot.press("slash")
        app.screen.query_one(QueryLine).input.value = query
        await pilot.press("enter")
        await until(pilot, lambda: "^" in screen_text(app), "the fault")
        line, marked = screen_text(app).splitlines()[1:3]
        assert marked.count("^") == min(wrong.value.end - wrong.value.start, 12)
        assert marked.index("^") - line.index(query) == wrong.value.start


@pytest.mark.parametrize(
    ("key", "marked"), [("enter", "since:2x"), ("home", "since:2x"), ("end", "2x"), ("left", "since:2x")]
)
async def test_the_mark_of_an_error_stays_below_its_term_when_a_long_query_scrolls(key: str, marked: str) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash")
        line = app.screen.query_one(QueryLine)
        line.input.value = (
            'status:failed since:2x loan_id=L123 tag:ai "insufficient funds" T-17 name:abcdefghijk queue:loans'
        )
        await pilot.press("end", "enter", key)

        def below() -> str:
            query, marks = screen_text(app).splitlines()[1:3]
            return query[marks.find("^") : marks.rfind("^") + 1] if "^" in marks else ""

        await until(pilot, lambda: below() == marked, "the marked part of the query")
