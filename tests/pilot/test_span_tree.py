"""The span tree: its rows, folds and cursor, and that they outlive a new trace."""

from __future__ import annotations

from sagatrace_tui.widgets.tree_rows import MAX_GUIDE, tree_rows
from textual.app import ComposeResult

from sagas import NOW, event, failed, orphaned, running, screen_text, trace_of
from sagatrace.events import TraceEvent
from sagatrace_tui.model import Trace
from sagatrace_tui.theme import ThemedApp
from sagatrace_tui.widgets.span_tree import SpanTree


class Harness(ThemedApp):
    """The tree alone, and what it said."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self.said: list[tuple[str, str]] = []

    def compose(self) -> ComposeResult:
        yield SpanTree()

    def on_mount(self) -> None:
        tree = self.query_one(SpanTree)
        tree.now = NOW
        tree.trace = self.trace
        tree.focus()

    def on_span_tree_span_highlighted(self, message: SpanTree.SpanHighlighted) -> None:
        self.said.append((type(message).__name__, message.span_id))

    def on_span_tree_span_opened(self, message: SpanTree.SpanOpened) -> None:
        self.said.append((type(message).__name__, message.span_id))


def shown(app: Harness) -> list[str]:
    return [line.rstrip() for line in screen_text(app).splitlines() if line.strip()]


async def test_each_row_says_glyph_name_status_attempts_duration_and_error() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(90, 12)):
        assert shown(app) == [
            "▌▾ ✘ workflow:loan-approval  failed  aborted                                        4.50s",
            " ├─▾ ✔ stage:credit                                                                 2.60s",
            " │ └── ✔ reserve_credit                                                        ×2   2.30s",
            " ├── • ai:decision",
            " ├─▾ ✘ stage:funding  failed  InsufficientFunds: balance 1200 < 25000               500ms",
            " │ └── ✘ transfer_funds  failed  InsufficientFunds: balance 1200 < 25000            300ms",
            " └── ✘ release_credit  failed  ConnectionError: bureau refused the connection       800ms",
        ]


async def test_a_parent_never_seen_has_a_named_place_and_the_orphan_a_mark() -> None:
    app = Harness(trace_of(orphaned("t")))
    async with app.run_test(size=(70, 6)):
        text = "\n".join(shown(app))
        assert "▾ ? gone  parent never seen" in text
        assert "└── ✘ stage:load  failed  ⚠ orphan  disk full" in text


async def test_space_and_sideways_keys_fold_unfold_and_walk() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(90, 12)) as pilot:
        tree = app.query_one(SpanTree)
        places = []
        for key in ("j", "space", "l", "right", "h", "left", "left", "left", "left"):
            await pilot.press(key)
            places.append((tree.highlighted, tree.row_count))
        assert places == [
            ("cre", 7), ("cre", 6), ("cre", 7), ("crj", 7), ("cre", 7), ("cre", 6), ("wf", 6), ("wf", 1), ("wf", 1),
        ]  # fmt: skip
        assert "▸ ✘ workflow:loan-approval +4  failed" in shown(app)[0]


async def test_folding_all_takes_the_cursor_to_what_still_shows() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(90, 12)) as pilot:
        tree = app.query_one(SpanTree)
        await pilot.press("j", "j")
        assert tree.highlighted == "crj"
        await pilot.press("minus")
        assert (tree.highlighted, tree.row_count) == ("cre", 5)
        await pilot.press("equals_sign")
        assert (tree.highlighted, tree.row_count) == ("cre", 7)


async def test_cursor_and_folds_outlive_a_trace_that_grew_above_them() -> None:
    events = failed("t")
    late = [event("t", "val", "stage:validate:started", 0.05, "wf"), event("t", "zz", "ai:note", 0.06, "cre")]
    app = Harness(trace_of(events))
    async with app.run_test(size=(90, 14)) as pilot:
        tree = app.query_one(SpanTree)
        await pilot.press("j", "space", "G")
        assert tree.highlighted == "und"
        tree.trace = trace_of([*events, *late])
        await pilot.pause()
        assert tree.highlighted == "und"
        assert " ├─▸ ✔ stage:credit +2" in "\n".join(shown(app))


async def test_messages_tell_where_the_cursor_is_and_what_was_opened() -> None:
    app = Harness(trace_of(failed("t")))
    async with app.run_test(size=(90, 12)) as pilot:
        await pilot.press("j", "enter")
        await pilot.pause()
        assert app.said == [("SpanHighlighted", "wf"), ("SpanHighlighted", "cre"), ("SpanOpened", "cre")]


async def test_what_runs_goes_on_with_the_clock() -> None:
    app = Harness(trace_of(running("t", 70)))
    async with app.run_test(size=(60, 6)) as pilot:
        assert shown(app)[0].endswith("running                  5.00s")
        app.query_one(SpanTree).now = NOW + 2_000_000
        await pilot.pause()
        assert shown(app)[0].endswith("7.00s")


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


def test_rows_keep_bounded_guides_and_every_span_once() -> None:
    rows = tree_rows(trace_of(deep(500)), ())
    assert [row.span_id for row in rows] == [f"s{n}" for n in range(500)]
    assert max(len(row.guide) for row in rows) == MAX_GUIDE
