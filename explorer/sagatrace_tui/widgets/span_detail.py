"""Everything about one span: fields, error, attempts, data, traceback, its events in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from sagatrace_tui.labels import duration, inert, moment, offset, plural, status_words
from sagatrace_tui.model import Span, Trace
from sagatrace_tui.theme import STATUS_TONES, TONES
from sagatrace_tui.values import text_lines, value_lines

__all__ = ["SpanDetail", "Subject", "detail"]

Subject = tuple[Trace, str]
"""A trace and the id of the span in it to show, or of a parent that was never seen."""

MAX_EVENTS: Final = 200
MAX_STACK_LINES: Final = 60
# Shown in places of their own, or as fields.
_SHOWN: Final = frozenset({"error", "error_type", "stack", "original_span_id", "compensation", "job_name"})


class SpanDetail(VerticalScroll, can_focus=True):
    """A subject in, its text on screen; scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Scroll down", show=False),
        Binding("up,k", "scroll_up", "Scroll up", show=False),
        Binding("pagedown,ctrl+d", "page_down", "Page down", show=False),
        Binding("pageup,ctrl+u", "page_up", "Page up", show=False),
        Binding("g,home", "scroll_home", "Start", show=False),
        Binding("G,end", "scroll_end", "End", show=False),
    ]
    DEFAULT_CSS = """
    SpanDetail { padding: 0 1; scrollbar-size-vertical: 1; }
    """

    subject: reactive[Subject | None] = reactive(None, init=False, repaint=False, always_update=True)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(Content(""))

    def watch_subject(self, subject: Subject | None) -> None:
        """Show it, unless that very span in that very state is on screen already."""
        if subject is None:
            return
        trace, span_id = subject
        shown = (span_id, *_depends_on(trace, span_id))
        if self._shown == shown:
            return
        is_other = self._shown[:1] != (span_id,)
        self._shown = shown
        self.query_one(Static).update(detail(trace, span_id))
        if is_other:
            self.scroll_home(animate=False)


def _depends_on(trace: Trace, span_id: str) -> tuple[object, ...]:
    """All that the text of a span is made from, to compare cheaper than the text is made."""
    span = trace.spans.get(span_id)
    if span is None:
        return (len(trace.children.get(span_id, ())),)
    others = [trace.spans.get(other) for other in (span.parent_id, span.original_span_id) if other is not None]
    odd = [anomaly for anomaly in trace.anomalies if span_id in anomaly.span_ids]
    return span, trace.started_at, [other and other.name for other in others], odd


def detail(trace: Trace, span_id: str) -> Content:
    """The text of one span."""
    span = trace.spans.get(span_id)
    if span is None:
        return Content("\n").join(_missing(trace, span_id))
    origin = trace.started_at if trace.started_at is not None else span.first_at
    lines = [
        _title(inert(span.name, 200)),
        *_fields(span, trace, origin),
        *_error(span),
        *_attempts(span, origin),
        *_data(span),
        *_stack(span),
        *_events(span, origin),
    ]
    return Content("\n").join(lines)


def _title(name: str) -> Content:
    return Content.styled(name, f"{TONES['plain']} bold")


def _section(title: str, note: str = "", tone: str = "key") -> Iterator[Content]:
    yield Content("")
    yield Content.assemble((title, f"{TONES[tone]} bold"), (f"  {note}" if note else "", TONES["muted"]))


def _field(label: str, value: str, tone: str = "plain") -> Content:
    return Content.assemble((f"{label:<10} ", TONES["muted"]), (value, TONES[tone]))


def _missing(trace: Trace, span_id: str) -> Iterator[Content]:
    yield _title("parent never seen")
    yield _field("span", inert(span_id, 300), "id")
    children = trace.children.get(span_id, ())
    yield Content("")
    yield Content.styled(
        f"Named as parent by {plural(len(children), 'span')}, but no event of its own has arrived. "
        f"When one does, it moves to its place.",
        TONES["muted"],
    )


def _fields(span: Span, trace: Trace, origin: int) -> Iterator[Content]:
    yield _field("status", status_words(span.status), STATUS_TONES[span.status])
    yield _field("kind", span.kind)
    yield _field("span", inert(span.span_id, 300), "id")
    if span.parent_id:
        parent = trace.spans.get(span.parent_id)
        name = f"  {inert(parent.name, 80)}" if parent else "  never seen"
        yield _field("parent", inert(span.parent_id, 300) + name)
    for label, at in (("enqueued", span.enqueued_at), ("started", span.started_at), ("ended", span.ended_at)):
        if at is not None:
            yield _field(label, f"{moment(at)}  {offset(at, origin)}")
    if span.wait is not None:
        yield _field("waited", duration(span.wait))
    if span.started_at is not None and span.ended_at is not None and span.status != "point":
        yield _field("took", duration(max(0, span.ended_at - span.started_at)))
    if span.original_span_id:
        undone = trace.spans.get(span.original_span_id)
        yield _field("undoes", inert(span.original_span_id, 300) + (f"  {inert(undone.name, 80)}" if undone else ""))
    if span.compensation:
        yield _field("undo", inert(span.compensation, 300))
    if span.tags:
        yield _field("tags", inert(" ".join(span.tags[:30]), 400))
    for anomaly in trace.anomalies:
        if span.span_id in anomaly.span_ids:
            yield _field("⚠", f"{anomaly.kind}: {inert(anomaly.detail, 400)}", "warn")


def _error(span: Span) -> Iterator[Content]:
    if not span.error and not span.error_type:
        return
    yield from _section("Error", inert(span.error_type or "", 120), "bad")
    for line in inert(span.error or "", 2000, lines=True).split("\n")[:40]:
        yield Content.styled(line, TONES["plain"])


def _attempts(span: Span, origin: int) -> Iterator[Content]:
    if len(span.attempts) < 2:
        return
    yield from _section("Attempts", str(len(span.attempts)))
    for attempt in span.attempts[:50]:
        at = offset(attempt.started_at, origin) if attempt.started_at is not None else "—"
        both = attempt.started_at is not None and attempt.ended_at is not None
        took = duration(max(0, (attempt.ended_at or 0) - (attempt.started_at or 0))) if both else "—"
        if attempt.error is not None:
            outcome, tone = inert(attempt.error, 200), "bad"
        elif attempt.ended_at is None:
            outcome, tone = "running", "busy"
        else:
            outcome, tone = "", "plain"
        yield Content.assemble(f"{attempt.number:>3}  {at:<9} {took:>7}  ", (outcome, TONES[tone]))


def _data(span: Span) -> Iterator[Content]:
    own = {key: value for key, value in span.data.items() if key not in _SHOWN}
    if not own:
        return
    yield from _section("Data")
    for lead, value in value_lines(own):
        yield Content.assemble((lead, TONES["muted"]), value)


def _stack(span: Span) -> Iterator[Content]:
    stack = span.data.get("stack")
    if not isinstance(stack, str) or not stack:
        return
    yield from _section("Traceback")
    for line in text_lines(stack, max_lines=MAX_STACK_LINES):
        # The frames' own lines are read; the source under them is context.
        tone = "muted" if line.startswith("    ") else "plain"
        yield Content.styled(line, TONES[tone])


def _events(span: Span, origin: int) -> Iterator[Content]:
    yield from _section("Events", str(len(span.events)))
    for event in span.events[:MAX_EVENTS]:
        status = f"  {event.status}" if event.status else ""
        tone = {"failed": "bad", "success": "ok"}.get(event.status or "", "muted")
        yield Content.assemble(
            (f"{offset(event.micros, origin):<9} ", TONES["muted"]),
            inert(event.event_type, 200),
            (status, TONES[tone]),
        )
    if len(span.events) > MAX_EVENTS:
        yield Content.styled(f"… and {plural(len(span.events) - MAX_EVENTS, 'more event')}", TONES["muted"])
