"""The span tree: its rows, bars, folds and cursor, also after a new trace."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from textual.app import ComposeResult

from sagas import NOW, event, failed, interrupted, many_alike, orphaned, repeated, running, screen_text, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.model import Trace
from sagatrace_tui.theme import ThemedApp
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.span_tree import SpanTree


class Harness(ThemedApp):
    """An app with the tree alone, and its messages."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.first = trace
        self.said: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield SpanTree()

    def on_mount(self) -> None:
        self.show(self.first)
        self.query_one(SpanTree).focus()

    def show(self, trace: Trace) -> None:
        tree = self.query_one(SpanTree)
        tree.now = NOW
        tree.subject = (trace, Outline(trace))

    def on_span_tree_span_highlighted(self, message: SpanTree.SpanHighlighted) -> None:
        self.said.append((type(message).__name__, message.span_id))

    def on_span_tree_span_opened(self, message: SpanTree.SpanOpened) -> None:
        self.said.append((type(message).__name__, message.span_id))


def shown(app: Harness) -> list[str]:
    return [line.rstrip() for line in screen_text(app).splitlines() if line.strip()]


async def test_a_row_says_glyph_name_role_standing_bar_attempts_and_duration() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)):
        assert shown(app) == [
            " 7 spans                                                       0                   4.50s       took",
            " ▾ ✘ workflow:loan-approval  consequence                       ━━━━━━━━━━━━━━━━━━━━━━━━×      4.50s",
            " ├─▾ ✔ stage:credit  ⚠ still standing                          ╺━━━━━━━━━━━━━━                2.60s",
            " │ └── ✔ reserve_credit  recovered                              ╺━━━━×┄┄┄┄┄━━╸           ×2   2.30s",
            " ├── • ai:decision                                                             •",
            " ├─▾ ✘ stage:funding  consequence                                              ╺━━×           500ms",
            "▌│ └── ✘ transfer_funds  CAUSE  InsufficientFunds: balance 12…                  ━×            300ms",
            " └── ✘ release_credit  undo failed  ConnectionError: bureau r…                     ━━━━×      800ms",
        ]


async def test_the_cursor_begins_at_the_cause_and_e_goes_round_the_errors() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)) as pilot:
        tree = app.query_one(SpanTree)
        assert tree.highlighted == "fuj"
        seen = [(tree.highlighted, tree.error_place)]
        for key in ("e", "e", "E", "g", "j"):
            await pilot.press(key)
            seen.append((tree.highlighted, tree.error_place))
        assert seen == [
            ("fuj", (1, 2)), ("und", (2, 2)), ("fuj", (1, 2)), ("und", (2, 2)), ("wf", (0, 2)), ("cre", (0, 2)),
        ]  # fmt: skip


async def test_e_unfolds_an_error_under_a_fold() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)) as pilot:
        tree = app.query_one(SpanTree)
        await pilot.press("g", "space", "E")
        assert tree.highlighted == "und"
        await pilot.press("g", "space", "e")
        assert tree.highlighted == "fuj"


async def test_a_missing_parent_has_a_named_row_and_its_child_a_mark() -> None:
    app = Harness(trace_of(orphaned("t")))
    async with app.run_test(size=(120, 6)):
        text = "\n".join(shown(app))
        assert "▾ ? gone  missing parent" in text
        assert "└── ✘ stage:load  CAUSE  ⚠ orphan  disk full" in text


async def test_space_left_and_right_fold_unfold_and_walk() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)) as pilot:
        tree = app.query_one(SpanTree)
        places = []
        for key in ("g", "j", "space", "l", "right", "h", "left", "left", "left", "left"):
            await pilot.press(key)
            places.append((tree.highlighted, tree.row_count))
        assert places[1:] == [
            ("cre", 7), ("cre", 6), ("cre", 7), ("crj", 7), ("cre", 7), ("cre", 6), ("wf", 6), ("wf", 1), ("wf", 1),
        ]  # fmt: skip
        assert "▸ ✘ workflow:loan-approval +4  consequence" in shown(app)[1]


async def test_folding_by_level_and_all_moves_the_cursor_to_a_visible_row() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)) as pilot:
        tree = app.query_one(SpanTree)
        places = []
        for key in ("minus", "less_than_sign", "greater_than_sign", "greater_than_sign", "minus", "equals_sign"):
            await pilot.press(key)
            places.append((tree.highlighted, tree.row_count))
        assert places == [("fun", 5), ("wf", 1), ("wf", 5), ("wf", 7), ("wf", 5), ("wf", 7)]


async def test_equal_siblings_are_one_row_with_count_and_durations_until_opened() -> None:
    app = Harness(trace_of(many_alike("t", 214)))
    async with app.run_test(size=(110, 12)) as pilot:
        tree = app.query_one(SpanTree)
        assert tree.row_count == 3
        assert "▸ ✔ stage:notify ×214  10.0ms / 20.0ms / 30.0ms" in shown(app)[2]
        assert "stage:last" in shown(app)[3]
        await pilot.press("j", "enter")
        assert tree.row_count == 3 + 214
        await pilot.press("space")
        assert tree.row_count == 3


async def test_a_part_shows_with_its_ancestors() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)) as pilot:
        tree = app.query_one(SpanTree)
        tree.only = ("found", frozenset({"crj"}))
        await pilot.pause()
        assert [line[:36].strip(" ▌").split("  ")[0] for line in shown(app)[1:]] == [
            "▾ ✘ workflow:loan-approval +3", "└─▾ ✔ stage:credit", "└── ✔ reserve_credit",
        ]  # fmt: skip
        assert shown(app)[0].startswith(" found: 1 of 7 spans")
        assert tree.go_to("und")
        await pilot.pause()
        assert (tree.only, tree.highlighted, tree.row_count) == (None, "und", 7)


async def test_cursor_and_folds_survive_new_rows_above_them() -> None:
    events = failed("t")
    late = [event("t", "val", "stage:validate:started", 0.05, "wf"), event("t", "zz", "ai:note", 0.06, "cre")]
    app = Harness(trace_of(events))
    async with app.run_test(size=(100, 14)) as pilot:
        tree = app.query_one(SpanTree)
        await pilot.press("g", "j", "space", "G")
        assert tree.highlighted == "und"
        app.show(trace_of([*events, *late]))
        await pilot.pause()
        assert tree.highlighted == "und"
        assert " ├─▸ ✔ stage:credit +2" in "\n".join(shown(app))


async def test_messages_report_the_cursor_and_the_opened_span() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.press("j", "enter")
        await pilot.pause()
        assert app.said == [("SpanHighlighted", "fuj"), ("SpanHighlighted", "und"), ("SpanOpened", "und")]


async def test_the_bar_of_a_running_span_grows_with_the_clock() -> None:
    app = Harness(trace_of(running("t", 70)))
    async with app.run_test(size=(60, 6)) as pilot:
        assert shown(app)[1].endswith(" 5.00s")
        app.query_one(SpanTree).now = NOW + 2_000_000
        await pilot.pause()
        assert shown(app)[1].endswith(" 7.00s")


def deep(depth: int) -> list[TraceEvent]:
    return [event("t", f"s{n}", "stage:deep:started", n / 1000, f"s{n - 1}" if n else None) for n in range(depth)]


async def test_a_tree_deeper_than_the_screen_is_wide_still_shows_its_names() -> None:
    app = Harness(trace_of(deep(3000)))
    async with app.run_test(size=(40, 8)) as pilot:
        await pilot.press("G")
        assert app.query_one(SpanTree).highlighted == "s2999"
        assert "⋯" in shown(app)[-1]
        assert "stage:deep" in shown(app)[-1]
        await pilot.press("minus")
        assert app.query_one(SpanTree).highlighted == "s1"


@pytest.mark.parametrize("depth", [9, 20, 120])
@pytest.mark.parametrize("width", [80, 40])
async def test_a_child_never_looks_like_a_sibling_however_deep_it_is(depth: int, width: int) -> None:
    app = Harness(trace_of(deep(depth)))
    async with app.run_test(size=(width, depth + 2)):
        rows = [line[1:] for line in shown(app)[1:]]
        names = [row.index("▶") for row in rows]
        numbers = [re.search(r"⋯(\d+) ", row) for row in rows]
        for level, (number, below) in enumerate(pairwise(numbers)):
            assert (number is None) or int(number[1]) == level
            assert names[level + 1] > names[level] or (below is not None and int(below[1]) == level + 1)
        steps = [names[level + 1] > names[level] for level in range(depth - 1)]
        assert sum(steps) > depth // 2, "most children stand to the right of their parents"
        assert max(names) <= 20


async def test_each_run_of_a_repeated_job_has_a_row_that_says_which_run_it_is() -> None:
    app = Harness(trace_of(repeated("t")))
    async with app.run_test(size=(100, 12)):
        rows = [line for line in shown(app) if "report" in line]
        assert ["run 1 of 3" in rows[0], "run 2 of 3" in rows[1], "run 3 of 3" in rows[2]] == [True, True, True]
        assert "✘ report  run 2 of 3  CAUSE  disk full" in rows[1]


async def test_an_interrupted_span_shows_the_word_its_sign_and_its_reason() -> None:
    app = Harness(trace_of(interrupted("t")))
    async with app.run_test(size=(160, 12)):
        [row] = [line for line in shown(app) if "stage:pay" in line]
        assert "↯ stage:pay" in row
        assert "interrupted  " in row
        assert "Work-horse terminated" in row
