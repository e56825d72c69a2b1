"""The list of traces: its columns by width, its cursor when rows arrive, and its messages."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from textual.app import ComposeResult

from sagas import NOW, screen_text, settlement, trace_of
from sagatrace_tui.incident.trace_row import Failure, StandingStep, TraceRow, standing_texts, trace_row
from sagatrace_tui.labels import short_name, verdict_words
from sagatrace_tui.model import Verdict
from sagatrace_tui.theme import ThemedApp
from sagatrace_tui.widgets.trace_columns import GAP, Widest, columns, part_of, widest_of
from sagatrace_tui.widgets.trace_list import SORTS, TraceList


def rows(*numbers: int) -> tuple[TraceRow, ...]:
    return tuple(
        TraceRow(f"trace-{n}", NOW - n, "succeeded", f"loan {n}", NOW - 5_000_000, 1_500_000, 3) for n in numbers
    )


class Harness(ThemedApp):
    """An app with the list alone, and its messages."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def compose(self) -> ComposeResult:
        yield TraceList()

    def on_trace_list_opened(self, message: TraceList.Opened) -> None:
        self.said.append(message.trace_id)

    def on_trace_list_end_reached(self) -> None:
        self.said.append("end")


@pytest.mark.parametrize("width", [38, 52, 64, 78, 100, 118, 200])
def test_columns_fill_the_width_and_no_more(width: int) -> None:
    chosen = columns(width)
    assert sum(column.width + GAP for column in chosen) == width + GAP
    titles = {column.title for column in chosen}
    assert {"VERDICT", "LAST"} <= titles
    assert {"NAME", "WHY"} <= titles or "WHY, OR NAME" in titles


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("width", [38, 79, 119, 199])
def test_the_order_is_marked_on_a_column_at_every_width(width: int, sort: str) -> None:
    assert [column.sort for column in columns(width, sort=sort)].count(sort) == 1


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("app.loans.saga.approve_loan", 27, "app.loans.saga.approve_loan"),
        ("app.loans.saga.approve_loan", 26, "…loans.saga.approve_loan"),
        ("app.loans.saga.approve_loan", 18, "…saga.approve_loan"),
        ("app.loans.saga.approve_loan", 17, "…approve_loan"),
        ("app.loans.saga.approve_loan", 5, "…approve_loan"),
        ("workflow:loan-approval", 10, "workflow:loan-approval"),
        ("mail a.b.c to d", 5, "mail a.b.c to d"),
    ],
)
def test_dotted_names_lose_their_beginning_not_their_end(name: str, width: int, expected: str) -> None:
    assert short_name(name, width) == expected


async def test_the_cursor_stays_on_its_trace_when_rows_arrive_above() -> None:
    app = Harness()
    async with app.run_test(size=(80, 10)) as pilot:
        traces = app.query_one(TraceList)
        traces.rows = rows(*range(40))
        await pilot.press("j", "j", "j")
        assert traces.highlighted == rows(3)[0]
        traces.rows = rows(100, 101, *range(40))
        await pilot.pause()
        assert traces.highlighted == rows(3)[0]
        assert "▌✔ succeeded   trace-3" in screen_text(app)


async def test_the_visible_rows_stay_when_rows_arrive_above_a_scrolled_list() -> None:
    app = Harness()
    async with app.run_test(size=(80, 10)) as pilot:
        traces = app.query_one(TraceList)
        traces.rows = rows(*range(40))
        await pilot.press("G", "k", "k")
        before = screen_text(app)
        traces.rows = rows(*range(100, 107), *range(40))
        await pilot.pause()
        titles, *shown = (line[:24] for line in screen_text(app).splitlines())
        assert shown == [line[:24] for line in before.splitlines()][1:]
        assert titles.startswith(f" VERDICT ↑{traces.scroll_offset.y} ")
        await pilot.press("g")
        await pilot.pause()
        assert screen_text(app).startswith(" VERDICT       TRACE")


async def test_the_cursor_stays_on_the_trace_that_was_opened() -> None:
    app = Harness()
    async with app.run_test(size=(80, 10)) as pilot:
        traces = app.query_one(TraceList)
        traces.rows = rows(1, 2, 3)
        await pilot.press("enter")
        traces.rows = rows(0, 1, 2, 3)
        await pilot.pause()
        assert (app.said, traces.highlighted) == (["trace-1"], rows(1)[0])
        await pilot.press("g")
        traces.rows = rows(-1, 0, 1, 2, 3)
        await pilot.pause()
        assert traces.highlighted == rows(-1)[0]


async def test_new_rows_need_no_new_layout_of_the_screen() -> None:
    app = Harness()
    async with app.run_test(size=(80, 10)) as pilot:
        traces, laid_out = app.query_one(TraceList), 0

        def count(_: object) -> None:
            nonlocal laid_out
            laid_out += 1

        await pilot.pause()
        app.screen.screen_layout_refresh_signal.subscribe(traces, count)
        for many, is_laid_out_again in ((3, False), (5, False), (40, True), (60, False), (30, True), (4, True)):
            laid_out = 0
            traces.rows = rows(*range(many))
            await pilot.pause()
            assert (laid_out > 0) is is_laid_out_again, many
            assert traces.show_vertical_scrollbar is (many > 9)
            await pilot.press("G")
            assert traces.highlighted == rows(many - 1)[0]
            assert traces.scroll_offset.y == max(0, many - 9)
            if many > 9:
                assert traces.vertical_scrollbar.window_virtual_size == many + 1


async def test_keys_move_the_cursor_and_the_end_is_reported() -> None:
    app = Harness()
    async with app.run_test(size=(80, 11)) as pilot:
        traces = app.query_one(TraceList)
        traces.rows = rows(*range(50))
        places = {}
        for key in ("j", "down", "k", "up", "pagedown", "ctrl+d", "ctrl+u", "pageup", "G", "g", "end", "home"):
            await pilot.press(key)
            places[key] = traces.cursor
        assert places == {
            "j": 1, "down": 2, "k": 1, "up": 0, "pagedown": 10, "ctrl+d": 15, "ctrl+u": 10, "pageup": 0,
            "G": 49, "g": 0, "end": 49, "home": 0,
        }  # fmt: skip
        assert app.said == ["end", "end"]
        await pilot.press("j", "enter")
        assert app.said[-1] == "trace-1"


async def test_a_page_stops_at_either_end_and_an_empty_list_takes_every_key() -> None:
    app = Harness()
    async with app.run_test(size=(80, 11)) as pilot:
        traces = app.query_one(TraceList)
        await pilot.press("j", "k", "G", "g", "pagedown", "pageup", "ctrl+d", "enter")
        assert (traces.cursor, app.said) == (0, [])
        traces.rows = rows(*range(12))
        await pilot.press("pageup")
        assert traces.cursor == 0
        await pilot.press("pagedown", "pagedown", "pagedown")
        assert (traces.cursor, traces.scroll_offset.y) == (11, 2)


async def test_only_changed_lines_are_drawn_again() -> None:
    app = Harness()
    async with app.run_test(size=(80, 12)) as pilot:
        traces = app.query_one(TraceList)
        traces.now = NOW
        traces.rows = rows(*range(40))
        await pilot.pause()
        drawn: list[int] = []
        original = traces.render_line

        def counting(y: int):  # type: ignore[no-untyped-def]
            drawn.append(y)
            return original(y)

        traces.render_line = counting  # type: ignore[method-assign]
        await pilot.press("j")
        await pilot.pause()
        assert sorted(set(drawn)) == [1, 2]
        drawn.clear()
        traces.now = NOW + 400_000
        await pilot.pause()
        assert drawn == []
        traces.now = NOW + 1_400_000
        await pilot.pause()
        assert sorted(set(drawn)) == list(range(1, 12))


async def test_a_click_moves_the_cursor() -> None:
    app = Harness()
    async with app.run_test(size=(80, 12)) as pilot:
        traces = app.query_one(TraceList)
        traces.rows = rows(*range(40))
        await pilot.pause()
        await pilot.click(TraceList, offset=(10, 5))
        assert traces.cursor == 4


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("verdict", get_args(Verdict))
async def test_the_longest_verdict_listed_is_shown_whole(width: int, verdict: Verdict) -> None:
    app = Harness()
    async with app.run_test(size=(width, 6)):
        app.query_one(TraceList).rows = (*rows(1), replace(rows(2)[0], verdict=verdict))
        await app.animator.wait_for_idle()
        line = screen_text(app).splitlines()[2]
        assert f"{verdict_words(verdict)}  " in line
        assert "loan 2" in line
        assert "trace-2" in line


def test_the_reason_gets_the_width_that_short_names_and_ids_leave() -> None:
    short, long = rows(1), tuple(replace(row, trace_id=row.trace_id * 9, name=row.name * 9) for row in rows(2))
    found = [{one.title: one.width for one in columns(160, widest_of(rows))} for rows in (short, long, short + long)]
    assert [(one["NAME"], one["TRACE"]) for one in found] == [(8, 8), (24, 28), (24, 28)]
    assert found[0]["WHY"] == found[1]["WHY"] + 16 + 20
    assert columns(160, widest_of([replace(rows(1)[0], name="残高不足の通知")]))[1].width == 14


def test_the_reason_gets_the_width_that_verdicts_leave() -> None:
    named = {verdict: {one.title: one.width for one in columns(79, Widest(verdict))} for verdict in (12, 21, 27)}
    assert [one["VERDICT"] for one in named.values()] == [12, 21, 27]
    assert named[12]["WHY, OR NAME"] > named[21]["WHY, OR NAME"] > named[27]["WHY, OR NAME"] >= 20


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize(
    "error",
    ["the account is closed " * 9, "残高不足" * 50, "\x1b[31m" * 60],
    ids=["words", "wide", "hostile"],
)
async def test_a_long_error_does_not_hide_how_many_steps_stand(width: int, error: str) -> None:
    step = StandingStep("t", "saga", "s", "step", "", 1, certain=True, code="failed", reason="why")
    failure = Failure("s", "stage:disbursement", error, "AccountClosedError", 1, "", "")
    app = Harness()
    async with app.run_test(size=(width, 6)):
        row = replace(rows(1)[0], verdict="rollback_incomplete", failure=failure, standing=(step, step), steps=3)
        app.query_one(TraceList).rows = (row,)
        await app.animator.wait_for_idle()
        line = screen_text(app).splitlines()[1].rstrip()
        assert line.endswith(" · 2 of 3 standing")
        assert "…" in line
        assert "Account" in line
        assert cell_len(line) <= width


@pytest.mark.parametrize(
    ("width", "reason"),
    [
        (80, "AccountClosedError: the account of the customer is closed, at transfer_money"),
        (50, "AccountClosedError: the accoun…, at transfer_money"),
        (30, "AccountClosedError: the accou…"),
    ],
)
def test_the_error_is_kept_before_the_step(width: int, reason: str) -> None:
    error = "the account of the customer is closed"
    row = replace(rows(1)[0], failure=Failure("s", "transfer_money", error, "AccountClosedError", 1, "", ""))
    why = replace(columns(200)[-1], width=width)
    assert part_of(row, why, 0)[0].rstrip() == reason


@pytest.mark.parametrize(
    ("verdict", "passed", "texts"),
    [
        ("rollback_incomplete", 1, ["2 of 3 standing", "2 standing"]),
        ("compensating", 1, ["1 of 3 undone, 1 standing", "1 of 3 undone"]),
        ("compensating", 0, ["1 of 3 undone", "1 of 3 undone"]),
    ],
)
def test_while_a_saga_compensates_its_row_counts_undone_steps(verdict: Verdict, passed: int, texts: list[str]) -> None:
    one = StandingStep("t", "saga", "s", "step", "", 1, certain=True, code="failed", reason="why")
    standing = tuple(replace(one, undo_goes_on=n >= passed) for n in range(2))
    row = replace(rows(1)[0], verdict=verdict, standing=standing, steps=3, undone=1)
    assert standing_texts(row) == texts


@pytest.mark.parametrize(
    ("width", "reason"),
    [(40, "failed at transfer_th… · 1 of 3 standing"), (22, "failed a… · 1 standing"), (20, "failed at transfer_…")],
)
def test_a_long_step_without_an_error_does_not_hide_how_many_steps_stand(width: int, reason: str) -> None:
    step = StandingStep("t", "saga", "s", "step", "", 1, certain=True, code="failed", reason="why")
    failure = Failure("s", "transfer_the_money_to_the_customer", "", "", 1, "", "")
    row = replace(rows(1)[0], failure=failure, standing=(step,), steps=3)
    why = replace(columns(200)[-1], width=width)
    assert part_of(row, why, 0)[0].rstrip() == reason


def test_the_errors_of_the_list_are_those_of_the_trace() -> None:
    trace = trace_of(settlement("orders"))
    assert trace_row(trace, 0).error_count == 29
    assert len(trace.failures) == 39, "with the consequences"


async def test_a_click_on_a_title_requests_its_order() -> None:
    asked: list[str] = []

    class Sorting(Harness):
        def on_trace_list_sort_chosen(self, message: TraceList.SortChosen) -> None:
            asked.append(message.sort)

    app = Sorting()
    async with app.run_test(size=(120, 10)) as pilot:
        app.query_one(TraceList).rows = rows(1, 2)
        await pilot.pause()
        header = screen_text(app).splitlines()[0]
        for title in ("TOOK", "VERDICT", "ERRORS", "LAST"):
            await pilot.click(TraceList, offset=(header.index(title) + 1, 0))
        await pilot.pause()
        assert asked == ["took", "failures", "last"]
