"""The detail of a span: everything its events say, bounded, and drawn anew only when it changed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from sagas import event, failed, orphaned, screen_text, trace_of, until
from sagatrace_tui.theme import ThemedApp
from sagatrace_tui.widgets.span_detail import MAX_EVENTS, SpanDetail, detail


class Harness(ThemedApp):
    def compose(self) -> ComposeResult:
        yield SpanDetail()


def text_of(span_id: str, events: list) -> str:  # type: ignore[type-arg]
    return detail(trace_of(events), span_id).plain


def test_a_failed_span_shows_fields_error_traceback_and_events() -> None:
    text = text_of("fuj", failed("t"))
    for expected in (
        "transfer_funds\nstatus     ✘ failed\nkind       job\nspan       fuj\nparent     fun  stage:funding\n",
        "started    2025-12-22 10:00:03.100Z  +3.10s\nended      2025-12-22 10:00:03.400Z  +3.40s\ntook       300ms\n",
        "Error  InsufficientFunds\nbalance 1200 < 25000\n",
        'Traceback\nTraceback (most recent call last):\n  File "/app/loans/funding.py", line 88, in transfer_funds\n',
        "Events  2\n+3.10s    job:started\n+3.40s    job:failed  failed",
    ):
        assert expected in text


def test_a_retried_span_shows_each_attempt_with_its_error() -> None:
    text = text_of("crj", failed("t"))
    assert "waited     100ms\n" in text
    assert "Attempts  2\n  1  +300ms      900ms  bureau timed out\n  2  +2.20s      400ms  \n" in text


def test_data_is_shown_as_a_tree_without_what_has_its_own_place() -> None:
    text = text_of("wf", failed("t"))
    assert "Data\nloan_id: L7\napplicant:\n  name: Ada Lovelace\n  scores:\n    - 710\n    - 702\n" in text
    assert "\nerror:" not in text


def test_an_undo_names_what_it_undoes_and_a_step_what_undoes_it() -> None:
    assert "undoes     cre  stage:credit\n" in text_of("und", failed("t"))
    assert "undo       release_credit\n" in text_of("cre", failed("t"))


def test_a_parent_never_seen_is_explained() -> None:
    text = text_of("gone", orphaned("t"))
    assert text.startswith("parent never seen\nspan       gone\n\nNamed as parent by 1 span")
    assert "⚠          orphan: " in text_of("kid", orphaned("t"))


def test_what_is_cut_says_how_much_there_is() -> None:
    big = {"blob": "x" * 1_000_000, "list": list(range(5000)), "deep": None, "stack": "frame\n" * 9000}
    nested: dict[str, object] = {}
    for _ in range(60):
        nested = {"n": nested}
    big["deep"] = nested
    events = [event("t", "s", "job:started", 0.0, data=big)]
    events += [event("t", "s", "ai:note", n / 1000) for n in range(MAX_EVENTS + 9)]
    text = text_of("s", events)
    assert "x… [1,000,000 characters]" in text
    assert "more lines]" in text
    assert "[cut: the end of 54,000 characters] …" in text
    assert "… and 10 more events" in text
    assert len(text) < 60_000


def test_nesting_is_shown_to_a_depth() -> None:
    nested: dict[str, object] = {"end": 1}
    for _ in range(60):
        nested = {"n": nested}
    assert "[1 value, nested too deep to show]" in text_of("s", [event("t", "s", "job:started", 0.0, data=nested)])


async def test_the_same_span_in_the_same_state_is_not_drawn_again_and_keeps_its_place() -> None:
    app = Harness()
    async with app.run_test(size=(60, 10)) as pilot:
        panel = app.query_one(SpanDetail)
        panel.subject = (trace_of(failed("t")), "fuj")
        panel.focus()
        await until(pilot, lambda: panel.max_scroll_y > 3, "something to scroll")
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: panel.scroll_offset.y == 3, "three lines scrolled")
        static = panel.query_one(Static)
        before = static.visual
        panel.subject = (trace_of(failed("t")), "fuj")
        assert static.visual is before
        more = [*failed("t"), event("t", "fuj", "ai:note", 3.2, "fun")]
        panel.subject = (trace_of(more), "fuj")
        await pilot.pause()
        assert static.visual is not before
        assert panel.scroll_offset.y == 3
        panel.subject = (trace_of(more), "fun")
        await pilot.pause()
        assert panel.scroll_offset.y == 0
        assert "stage:funding" in screen_text(app)
