"""The preview of the trace under the cursor: verdict, path to the cause, error and standing steps."""

from __future__ import annotations

from typing import Final

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sagatrace_tui.incident.trace_row import TraceRow
from sagatrace_tui.labels import VERDICTS, duration, inert, plural, short, short_middle
from sagatrace_tui.theme import TONES, VERDICT_TONES, times_of

__all__ = ["Preview"]

_LINES: Final = 7


class Preview(Widget):
    """Shows `row`; empty without one."""

    DEFAULT_CSS = """
    Preview { height: 8; border-top: solid $panel; padding: 0 1; text-wrap: nowrap; display: none; }
    """
    ALLOW_SELECT = False

    row: reactive[TraceRow | None] = reactive(None)

    def times_changed(self) -> None:
        """Draw again with the new form of times."""
        self.refresh()

    def render(self) -> Content:
        """The lines."""
        row, width = self.row, max(10, self.size.width)
        if row is None or row.verdict is None:
            return Content("")
        verdict = " ".join(VERDICTS[row.verdict])
        title = Content.assemble(
            (verdict, f"{TONES[VERDICT_TONES[row.verdict]]} bold"),
            (f"  {inert(row.name)}", f"{TONES['plain']} bold"),
            (f"  {short_middle(inert(row.trace_id), max(10, width // 2))}", TONES["id"]),
        )
        began = f"started {times_of(self).clock(row.started_at)} · " if row.started_at is not None else ""
        facts = f"{began}took {duration(row.duration)} · {plural(row.span_count, 'span')}"
        if row.is_running:
            facts = f"{began}{plural(row.span_count, 'span')} so far"
        lines = [title, Content.styled(short(facts, width), TONES["muted"])]
        if row.summary != VERDICTS[row.verdict][1]:  # a succeeded trace would repeat its verdict
            lines.insert(1, Content.styled(short(inert(row.summary), width), TONES["plain"]))
        if row.path:
            path = " → ".join(inert(name) for name in row.path)
            lines.append(Content.styled(short_middle(path, width), TONES["muted"]))
        if row.failure is not None and row.failure.error:
            error = ": ".join(filter(None, (row.failure.error_type, row.failure.error)))
            lines.append(Content.styled(short(inert(error), width), TONES["bad"]))
        room = _LINES - len(lines)
        shown = row.standing if len(row.standing) <= room else row.standing[: room - 1]
        for step in shown:
            unsure = "" if step.certain else "uncertain: "
            how, tone = ("to be undone", "muted") if step.undo_goes_on else ("still standing", "warn")
            text = f"{how}: {inert(step.step)} · {unsure}{inert(step.reason)}"
            lines.append(Content.styled(short(text, width), TONES[tone]))
        if len(shown) < len(row.standing):
            more = plural(len(row.standing) - len(shown), "more step")
            lines.append(Content.styled(f"and {more}", TONES["warn"]))
        return Content("\n").join(lines)
