"""What a trace is, on two lines, and what is odd about it below."""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sagatrace_tui.labels import clock, duration, inert, plural, short, short_middle, status_words, when
from sagatrace_tui.model import Trace
from sagatrace_tui.theme import STATUS_TONES, TONES

__all__ = ["TraceHeader"]

MAX_ANOMALIES: Final = 2


class TraceHeader(Widget):
    """Grows a line for each anomaly, up to a few."""

    DEFAULT_CSS = """
    TraceHeader { height: auto; padding: 0 1; background: $surface; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    trace: reactive[Trace | None] = reactive(None, layout=True, always_update=True)
    now: reactive[int] = reactive(0, repaint=False, init=False)

    def __init__(self, trace_id: str) -> None:
        super().__init__()
        self._trace_id = trace_id

    def watch_now(self) -> None:
        """Time goes on for what runs."""
        if self.trace is not None and self.trace.status == "running":
            self.refresh()

    def render(self) -> Content:
        """The lines."""
        width = max(10, self.size.width)
        if self.trace is None:
            return Content.assemble(("… reading  ", TONES["muted"]), (inert(self._trace_id), TONES["id"]), "\n")
        lines = [_title(self.trace, width), _facts(self.trace, self.now, width), *_oddities(self.trace, width)]
        return Content("\n").join(lines)


def _title(trace: Trace, width: int) -> Content:
    status = status_words(trace.status)
    room = width - cell_len(status) - 4
    name = short(inert(trace.name, 200) or "(no spans)", max(6, room - 14))
    trace_id = short_middle(inert(trace.trace_id), max(0, room - cell_len(name)))
    return Content.assemble(
        (status, f"{TONES[STATUS_TONES[trace.status]]} bold"),
        (f"  {name}", f"{TONES['plain']} bold"),
        " " * max(2, room - cell_len(name) - cell_len(trace_id) + 2),
        (trace_id, TONES["id"]),
    )


def _facts(trace: Trace, now: int, width: int) -> Content:
    took = trace.duration
    if trace.status == "running" and trace.started_at is not None:
        took = max(0, now - trace.started_at)
    facts = [plural(trace.error_count, "error")] if trace.error_count else []
    facts.append(f"{'running for' if trace.status == 'running' else 'took'} {duration(took)}")
    exactly = f" at {clock(trace.started_at)}" if width >= 90 else ""
    facts.append(f"started {when(trace.started_at, now)}{exactly}")
    facts += [plural(len(trace.spans), "span"), plural(trace.event_count, "event")]
    text = short(" · ".join(facts), width)
    if not trace.error_count:
        return Content.styled(text, TONES["muted"])
    errors = len(facts[0])
    return Content.assemble((text[:errors], TONES["bad"]), (text[errors:], TONES["muted"]))


def _oddities(trace: Trace, width: int) -> list[Content]:
    shown = [
        Content.styled(short(f"⚠ {anomaly.kind}: {inert(anomaly.detail, 400)}", width), TONES["warn"])
        for anomaly in trace.anomalies[:MAX_ANOMALIES]
    ]
    if len(trace.anomalies) > MAX_ANOMALIES:
        rest = plural(len(trace.anomalies) - MAX_ANOMALIES, "more anomaly")
        shown.append(Content.styled(f"⚠ and {rest}", TONES["warn"]))
    return shown
