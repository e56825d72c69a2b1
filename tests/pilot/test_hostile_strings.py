"""Text of jobs is shown and never interpreted: no control characters, markup or hidden directions."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sagas import START, UnreliableStore, event, screen_text, still, until
from sagatrace.event import TraceEvent, new_event
from sagatrace.timestamps import utc_timestamp
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.values import value_lines
from sagatrace_tui.widgets.span_tree import SpanTree
from sagatrace_tui.widgets.trace_list import TraceList

ESCAPE = "\x1b[31m\x1b]52;c;ZXZpbA==\x07\x1b[2J"
BIDI = "\u202etxt.exe\u2066\u200f"
MARKUP = "[/][bold red]markup[/] [@click=app.quit]x[/]"
NASTY = [
    ESCAPE,
    BIDI,
    MARKUP,
    "\u200b\u200d\ufeff\U000e0041",
    "a\tb\r\nc\x00\x9b31m\x85",
    "日本語" * 40,
    "e" + "\u0301" * 200,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u2028\u2029",
    "x" * 1_000_000,
]
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")


def hostile(trace_id: str) -> list[TraceEvent]:
    """Return events with every kind of string in every place that a job can fill."""
    events = [event(trace_id, "root", f"{ESCAPE}{BIDI}{MARKUP}:started", 0.0, id="e0")]
    for number, nasty in enumerate(NASTY):
        data: dict[str, Any] = {
            "job_name": nasty,
            "error": nasty,
            "error_type": nasty,
            "stack": f"Traceback\n{nasty}",
            nasty[:5000]: [nasty, {nasty[:5000]: nasty}],
            "compensation": nasty,
            "original_span_id": nasty,
        }
        parent = "root" if number % 2 else f"lost {nasty[:9000]}"
        event_type = f"{nasty[:9000]}:failed"
        events.append(
            event(
                trace_id,
                f"{number} {nasty[:9000]}",
                event_type,
                0.5 + number,
                parent,
                data=data,
                tags=[nasty],
                id=f"e{number + 1}",
            )
        )
    return events


def clean(app: SagatraceApp) -> str:
    text = screen_text(app)
    assert not FORBIDDEN.search(text.replace("\n", ""))
    return text


def listed(app: SagatraceApp) -> tuple[TraceRow, ...]:
    return app.screen.query_one(TraceList).rows


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 12), (12, 6)])
async def test_hostile_strings_are_shown_as_plain_text(size: tuple[int, int]) -> None:
    trace_id = f"{ESCAPE}{BIDI}"
    app = SagatraceApp(UnreliableStore(hostile(trace_id)), clock=still)
    async with app.run_test(size=size) as pilot:
        await until(
            pilot, lambda: clean(app) and any(row.verdict for row in app.screen.query_one(TraceList).rows), "it"
        )
        await pilot.press("enter")
        await until(pilot, lambda: len(app.screen.query("SpanTree")) == 1 and clean(app), "the trace")
        tree = app.screen.query_one(SpanTree)
        await until(pilot, lambda: tree.row_count > len(NASTY), "the tree")
        for _ in range(len(NASTY) * 2 + 1):
            await pilot.press("enter")
            clean(app)
            for _ in range(2):
                await pilot.press("pagedown")
                clean(app)
            await pilot.press("tab", "j")
            clean(app)
        assert app.is_running


async def test_markup_is_text() -> None:
    app = SagatraceApp(UnreliableStore(hostile("T")), trace_id="T", clock=still)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: "✘ [/][bold red]markup[/] [@click=app.quit]x[/]" in clean(app), "markup as it is")
        assert "␛[31m␛]52;c;" in clean(app)
        assert "⟨U+202E⟩txt.exe" in clean(app)
        assert "e\u0301\u0301\u0301⟨+196 marks⟩" in clean(app)


async def test_an_unknown_hostile_id_is_inert_too() -> None:
    app = SagatraceApp(UnreliableStore(), trace_id=ESCAPE + MARKUP, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No trace ␛[31m" in clean(app), "the notice")


def test_a_moment_past_the_calendar_does_not_break_the_list() -> None:
    from sagatrace_tui.labels import clock, moment

    early = new_event(trace_id="t", span_id="s", event_type="x", timestamp="0001-01-01T00:00:00+14:00")
    late = new_event(trace_id="t", span_id="s", event_type="x", timestamp="9999-12-31T23:59:59-14:00")
    assert {clock(early.micros), clock(late.micros)} == {"0000-00-00 00:00:00Z"}
    assert moment(early.micros).startswith("0000")
    assert utc_timestamp(START).startswith("2025")


def test_the_lines_of_any_value_are_bounded() -> None:
    wide = {f"key {n}": {"a": [n] * 50} for n in range(2000)}
    lines = value_lines(wide, max_lines=50)
    assert len(lines) == 51
    assert lines[-1].text.endswith("more lines, Enter shows all]")
    assert all("\n" not in line.lead + line.text for line in value_lines({"k\ney": "two\nlines", "z": ""}))
