"""The detail of one span as rows: fields, error, attempts, data, traceback and events. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from rich.cells import cell_len

from sagatrace_tui.labels import (
    duration,
    inert,
    offset,
    plural,
    run_words,
    short,
    short_name,
    standing_tone,
    status_words,
)
from sagatrace_tui.model import Role, Span, Trace
from sagatrace_tui.model.standing import reason_of
from sagatrace_tui.theme import STATUS_TONES
from sagatrace_tui.times import Times
from sagatrace_tui.values import Path, ValueLine, value_lines, wrapped
from sagatrace_tui.views.outline import Group
from sagatrace_tui.widgets.rows import Part
from sagatrace_tui.widgets.traceback_lines import traceback_lines

__all__ = ["DetailLine", "detail_lines", "group_lines"]

_TIMES: Final = Times()
MAX_EVENTS: Final = 200
_MAX_ERROR: Final = 2000
_ATTEMPT: Final = 25  # terminal columns before the error of an attempt
# Shown elsewhere in the detail.
_SHOWN: Final = frozenset({"error", "error_type", "stack", "original_span_id", "compensation", "job_name"})
_LATER: Final = "the cause: a span above failed with its error, and nothing below it failed"
_MEANING: Final[dict[Role, str]] = {
    "cause": "the cause: it failed first, and nothing below it failed",
    "consequence": "a consequence of the cause",
    "independent": "an independent failure, apart from the cause",
    "recovered": "recovered: a later attempt succeeded",
    "compensation": "failed while undoing",
}


class DetailLine(msgspec.Struct, frozen=True):
    """A row. `value` is the full value, to copy or open. `span_id` is the span that Enter goes to."""

    parts: tuple[Part, ...]
    value: Any = None
    path: Path | None = None
    can_fold: bool = False
    is_cut: bool = False
    span_id: str | None = None

    @property
    def opens(self) -> bool:
        """Whether Enter opens the value in full, instead of folding it or going to a span."""
        return self.value is not None and not self.can_fold and self.span_id is None


def _title(text: str, width: int) -> Iterator[DetailLine]:
    for line in wrapped(short_name(inert(text, 200), width), width):
        yield DetailLine(((line, "strong"),), text)


def _section(title: str, note: str = "", tone: str = "key") -> Iterator[DetailLine]:
    yield DetailLine(())
    yield DetailLine(((title, tone), (f"  {note}" if note else "", "muted")))


def _field(label: str, text: str, tone: str = "plain", *, value: Any = None, span_id: str | None = None) -> DetailLine:
    return DetailLine(((f"{label:<10} ", "muted"), (text, tone)), text if value is None else value, span_id=span_id)


def detail_lines(
    trace: Trace, span_id: str, width: int, *, toggled: Collection[Path] = (), times: Times = _TIMES
) -> list[DetailLine]:
    """Return the rows of one span, or of a missing parent.

    Args:
        trace: the trace.
        span_id: the span, or the missing parent.
        width: terminal columns.
        toggled: the paths of values that the reader folded or unfolded.
        times: the way to write moments.
    """
    span = trace.spans.get(span_id)
    if span is None:
        return list(_missing(trace, span_id, width))
    origin = trace.started_at if trace.started_at is not None else span.first_at
    failure = [*_error(span, width), *_stack(span, width)]
    return [
        *_title(span.name, width),
        *(part for line in _standing(span, trace) for part in _continued(line, width)),
        *failure,
        *([DetailLine(())] if failure else []),
        *(part for line in _fields(span, trace, origin, times) for part in _continued(line, width)),
        *_attempts(span, width, origin, times),
        *_data(span, width, toggled),
        *_events(span, origin, times),
    ]


def group_lines(group: Group, width: int, times: Times = _TIMES) -> list[DetailLine]:
    """Return the rows of a group of similar siblings."""
    shortest, median, longest = group.lengths
    return [
        *_title(group.name, width),
        _field("spans", f"{len(group.span_ids):,}, next to each other, all went well"),
        _field("shortest", duration(max(0, shortest))),
        _field("median", duration(max(0, median))),
        _field("longest", duration(max(0, longest))),
        _field("first", times.moment(group.first_at)),
        _field("last", times.moment(group.last_at)),
        DetailLine(()),
        DetailLine((("Enter or Space in the tree shows each of them.", "muted"),)),
    ]


def _missing(trace: Trace, span_id: str, width: int) -> Iterator[DetailLine]:
    yield from _title("missing parent", width)
    yield _field("span", inert(span_id, 300), "id", value=span_id)
    yield DetailLine(())
    named = plural(len(trace.children.get(span_id, ())), "span")
    text = f"Named as parent by {named}, but no event of its own has arrived. When one does, it moves to its place."
    for line in _words(text, width):
        yield DetailLine(((line, "muted"),))


def _words(text: str, width: int) -> Iterator[str]:
    """Yield the lines of a sentence, broken between words."""
    line = ""
    for word in text.split(" "):
        if line and len(line) + len(word) + 1 > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _standing(span: Span, trace: Trace) -> Iterator[DetailLine]:
    """Yield status, role and compensation first: a small terminal shows no more."""
    yield _field("status", status_words(span.status), STATUS_TONES[span.status])
    role = trace.roles.get(span.span_id)
    if role is not None:
        meaning = _LATER if role == "cause" and _has_earlier(span, trace) else _MEANING[role]
        yield _field("role", meaning, "cause" if role == "cause" else "plain")
    for one in trace.still_standing:
        if one.span_id == span.span_id:
            sure = "" if one.explained else "; the step's outcome is unknown"
            how, tone = ("not yet", "busy") if one.being_undone else ("no, still standing", standing_tone(trace))
            how, tone = ("not yet", "muted") if one.awaited else (how, tone)
            yield _field("undone", f"{how}: {inert(reason_of(one, ended=trace.ended), 400)}{sure}", tone)
    for waits in trace.never_ran:
        if waits.span_id == span.span_id:
            yield _field("blocked", f"by {inert(waits.dependency_name, 200)}, which {waits.fate}", "warn")


def _has_earlier(cause: Span, trace: Trace) -> bool:
    """Return whether an independent failure ended before the cause. The saga caught it, and failed later."""
    independent = (trace.spans[one] for one, role in trace.roles.items() if role == "independent")
    return any(one.ending < cause.ending for one in independent)


def _fields(span: Span, trace: Trace, origin: int, times: Times) -> Iterator[DetailLine]:
    yield _field("kind", span.kind)
    yield from _runs(span, trace)
    if span.parent_id:
        yield _related("parent", span.parent_id, trace)
    for label, at in (("enqueued", span.enqueued_at), ("started", span.started_at), ("ended", span.ended_at)):
        if at is not None:
            both = [times.moment_from(at, origin), offset(at, origin)]
            yield _field(label, "  ".join(both[::-1] if times.mode == "relative" else both), value=times.moment(at))
    if span.wait is not None:
        yield _field("waited", duration(span.wait))
    if span.started_at is not None and span.ended_at is not None and span.status != "point":
        yield _field("took", duration(max(0, span.ended_at - span.started_at)))
    place = span.place
    for label, text in (("worker", place.worker), ("queue", place.queue), ("host", place.host)):
        if text:
            yield _field(label, inert(text, 300), value=text)
    if span.original_span_id:
        yield _related("undoes", span.original_span_id, trace)
    if span.compensation:
        yield _field("undo", inert(span.compensation, 300), value=span.compensation)
    for dependency in span.dependencies[:20]:
        yield _related("needs", dependency, trace)
    if span.tags:
        yield _field("tags", inert(" ".join(span.tags[:30]), 400))
    for anomaly in trace.anomalies:
        if span.span_id in anomaly.span_ids:
            yield _field("⚠", f"{anomaly.kind}: {inert(times.in_text(anomaly.detail), 400)}", "warn")
    yield _field("span id", inert(span.span_id, 300), "id", value=span.span_id)


def _runs(span: Span, trace: Trace) -> Iterator[DetailLine]:
    """Yield the run of the job, and links to the runs before and after."""
    runs = trace.runs_of(span.span_id)
    if words := run_words(span, len(runs)):
        yield _field("run", words.removeprefix("run "))
        for label, number in (("run before", span.run - 1), ("run after", span.run + 1)):
            if 1 <= number <= len(runs):
                yield _related(label, runs[number - 1], trace)


def _related(label: str, span_id: str, trace: Trace) -> DetailLine:
    other = trace.spans.get(span_id)
    name = inert(other.name, 80) if other else "missing"
    return _field(label, f"{name}  {inert(span_id, 300)}", value=span_id, span_id=span_id if other else None)


def _continued(field: DetailLine, width: int) -> Iterator[DetailLine]:
    """Yield a field in as many lines as needed, with its text aligned."""
    (label, label_tone), (text, tone) = field.parts
    for number, part in enumerate(wrapped(text, max(8, width - len(label)))):
        lead = (" " * len(label) if number else label, label_tone)
        yield replace(field, parts=(lead, (part, tone)))


def _error(span: Span, width: int) -> Iterator[DetailLine]:
    error, kind = span.error or "", span.error_type or ""
    if not error and not kind:
        return
    yield from _section("Error", inert(kind, 120), "cause")
    text = inert(error, _MAX_ERROR, lines=True)
    for line in list(wrapped(text, width))[:40]:
        yield DetailLine(((line, "plain"),), error, is_cut=len(error) > _MAX_ERROR)


def _attempts(span: Span, width: int, origin: int, times: Times) -> Iterator[DetailLine]:
    attempts = span.attempts
    if len(attempts) < 2:
        return
    yield from _section("Attempts", str(len(attempts)))
    begun = [attempt.started_at for attempt in attempts[:50] if attempt.started_at is not None]
    shown = dict(zip(begun, times.in_trace(begun, origin), strict=True))
    for attempt in attempts[:50]:
        at = shown[attempt.started_at] if attempt.started_at is not None else "—"
        is_whole = attempt.started_at is not None and attempt.ended_at is not None
        took = duration(max(0, (attempt.ended_at or 0) - (attempt.started_at or 0))) if is_whole else "—"
        if attempt.failed:
            kind, error = (inert(text or "", 200) for text in (attempt.error_type, attempt.error))
            both = ": ".join(filter(None, (kind, error)))
            outcome, tone = (both if cell_len(both) <= width - _ATTEMPT else error or kind) or "failed", "bad"
        elif attempt.ended_at is None:
            outcome, tone = "no end recorded", "busy"
        else:
            outcome, tone = "", "plain"
        sign = "✘" if attempt.failed else "▶" if attempt.ended_at is None else "✔"
        yield DetailLine(((f"{attempt.number:>3} {sign} {at:<9} {took:>7}  ", "muted"), (outcome, tone)), attempt.error)
    if len(attempts) > 50:
        yield DetailLine(((f"… and {plural(len(attempts) - 50, 'more attempt')}", "muted"),))


def _data(span: Span, width: int, toggled: Collection[Path]) -> Iterator[DetailLine]:
    own = {key: value for key, value in span.data.items() if key not in _SHOWN}
    if not own:
        return
    yield from _section("Data")
    for line in value_lines(own, toggled=toggled):
        marker = ("▸ " if line.is_folded else "▾ ") if line.has_more else "  "
        text = _sized(line, width - len(marker) - cell_len(line.lead))
        parts = ((marker, "guide"), (line.lead, "muted"), (text, "muted" if line.has_more else "plain"))
        yield DetailLine(parts, line.value, line.path, line.has_more, line.is_cut)


def _sized(line: ValueLine, room: int) -> str:
    """Return the line's text. A single line that does not fit is cut, and its size is shown."""
    if not isinstance(line.value, str) or "\n" in line.value or cell_len(line.text) <= room:
        return line.text
    note = f" [{len(line.value):,} characters]"
    return short(inert(line.value[: max(room, 0)]) + "…", max(8, room - len(note))) + note


def _stack(span: Span, width: int) -> Iterator[DetailLine]:
    stack = span.data.get("stack")
    if not isinstance(stack, str) or not stack:
        return
    yield from _section("Traceback", "Enter shows it in full")
    for part in traceback_lines(stack, width):
        yield DetailLine((part,), stack, is_cut=True)


def _events(span: Span, origin: int, times: Times) -> Iterator[DetailLine]:
    yield from _section("Events", str(len(span.events)))
    shown = span.events[:MAX_EVENTS]
    moments = times.in_trace([event.micros for event in shown], origin)
    for at, event in zip(moments, shown, strict=True):
        status = f"  {event.status}" if event.status else ""
        tone = {"failed": "bad", "success": "ok"}.get(event.status or "", "muted")
        parts = (
            (f"{at:<9} ", "muted"),
            (inert(event.event_type, 200), "plain"),
            (status, tone),
        )
        yield DetailLine(parts, {"event_type": event.event_type, "timestamp": event.timestamp, "id": event.id})
    if len(span.events) > MAX_EVENTS:
        yield DetailLine(((f"… and {plural(len(span.events) - MAX_EVENTS, 'more event')}", "muted"),))
