"""The header of a comparison: verdict, id, duration and start of both traces."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sagatrace_tui.incident.differences import Comparison, Run
from sagatrace_tui.labels import duration, inert, plural, short, short_middle, verdict_words, when
from sagatrace_tui.theme import TONES, VERDICT_TONES, times_of

__all__ = ["ComparisonHeader"]

_GAP: Final = 2
_LABELLED: Final = 36
"""Columns a line needs to name its trace."""
_ID: Final = 8  # columns reserved for an id


class ComparisonHeader(Widget):
    """Three lines: the saga, this trace, and the other trace."""

    DEFAULT_CSS = """
    ComparisonHeader { height: 3; padding: 0 1; background: $surface; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    comparison: reactive[Comparison | None] = reactive(None, always_update=True)
    waiting: reactive[str] = reactive("reading")
    """The work in progress until the comparison is ready; then empty."""
    now: reactive[int] = reactive(0)
    other_title = "other trace"

    def __init__(self, trace_id: str) -> None:
        super().__init__()
        self._trace_id = trace_id

    def times_changed(self) -> None:
        """Draw again with the new form of times."""
        self.refresh()

    def render(self) -> Content:
        """The lines."""
        width = max(10, self.size.width)
        if self.comparison is None:
            shown = short_middle(inert(self._trace_id), max(5, width - 9))
            line = Content.assemble(("Compare  ", f"{TONES['plain']} bold"), (shown, TONES["id"]))
            waiting = f"… {self.waiting}" if self.waiting else ""
            return Content("\n").join([line, Content.styled(short(waiting, width), TONES["muted"]), Content("")])
        here, there = self.comparison.here, self.comparison.there
        names = here.name if here.name == there.name else f"{here.name} · {there.name}"
        title = Content.assemble(
            ("Compare  ", f"{TONES['plain']} bold"), (short(inert(names, 400), width - 9), TONES["plain"])
        )
        verdicts = max(cell_len(verdict_words(run.verdict)) for run in (here, there))
        runs = (("this trace", here), (self.other_title, there))
        return Content("\n").join([title, *(self._run(name, run, verdicts, width) for name, run in runs)])

    def _run(self, title: str, run: Run, verdicts: int, width: int) -> Content:
        label = f"{title:<13}" if width >= _LABELLED else ""
        verdict = short(verdict_words(run.verdict), width)
        room = max(0, width - len(label) - verdicts - 2 * _GAP)
        facts = [
            duration(run.elapsed(self.now)),
            plural(run.span_count, "span"),
            f"started {when(run.started_at, self.now)}",
        ]
        if width >= 110:
            facts[-1] += f" at {times_of(self).clock(run.started_at)}"
        whole = inert(run.trace_id)
        left = room - min(cell_len(whole), max(_ID, room // 2))
        while facts and cell_len(" · ".join(facts)) > left:  # drop a fact rather than cut a number
            facts.pop()
        text = " · ".join(facts)
        trace_id = short_middle(whole, room - cell_len(text))
        line = Content.assemble(
            (label, TONES["muted"]),
            (verdict, TONES[VERDICT_TONES[run.verdict]]),
            " " * (verdicts - cell_len(verdict) + _GAP),
            (trace_id, TONES["id"]),
            " " * _GAP,
            (text, TONES["muted"]),
        )
        return line.truncate(width)  # a longer line would wrap
