"""Map times to columns of a row. Long idle gaps can be collapsed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

import msgspec

from sagatrace_tui.model import Span, Trace

__all__ = ["Idle", "Piece", "Timeline", "idle_stretches", "pieces", "timeline"]

# A gap is long if it takes more than this share of the trace.
_GAP: Final = 0.04
_MAX_ATTEMPTS: Final = 64


class Piece(msgspec.Struct, frozen=True):
    """A part of a bar, in columns [start, end): `wait`, `pause`, `lost` (work that failed) or `run`.

    `is_cut` marks a part that ended after the visible time.
    """

    start: int
    end: int
    kind: str
    is_cut: bool = False


class Timeline(msgspec.Struct, frozen=True):
    """A time scale from `start` to `end`, in microseconds. `gaps` are the collapsed gaps as (start, end), in order.

    `kept` are the microseconds that a collapsed gap still takes.
    """

    start: int
    end: int
    gaps: tuple[tuple[int, int], ...] = ()
    kept: int = 0

    def squeezed(self, at: int) -> int:
        """Return the microseconds from the start to a moment, without collapsed gaps except `kept` of each."""
        at = max(self.start, min(at, self.end))
        return at - self.start - sum(max(0, min(at, end) - start - self.kept) for start, end in self.gaps)

    def column(self, at: int, width: int) -> int:
        """Return the column of a moment, from 0 to `width`."""
        total = self.squeezed(self.end)
        return 0 if total <= 0 else round(self.squeezed(at) * width / total)


class Idle(msgspec.Struct, frozen=True):
    """The `gaps` of a trace as (start, end). `busy_until` is the end of its last work; None while a span runs."""

    gaps: tuple[tuple[int, int], ...]
    busy_until: int | None


def timeline(trace: Trace, now: int, idle: Idle | None = None, window: tuple[int, int] | None = None) -> Timeline:
    """Return the time scale of a trace, or of a part of it. A running trace extends to `now`.

    Args:
        trace: the trace.
        now: microseconds since 1970.
        idle: the gaps to collapse if they are still long as of `now`.
        window: the start and the end of the part.
    """
    start = trace.started_at if trace.started_at is not None else now
    end = max(now, start) if trace.status == "running" else max(trace.last_at or start, start)
    start, end = window or (start, end)
    if idle is None or end <= start:
        return Timeline(start, end)
    least = int((end - start) * _GAP)
    inside = ((began, ended) for began, ended in idle.gaps if start <= began and ended <= end)
    gaps = [(began, ended) for began, ended in inside if ended - began > least]
    if idle.busy_until is not None and idle.busy_until >= start and end - idle.busy_until > least:
        gaps.append((idle.busy_until, end))
    return Timeline(start, end, tuple(gaps), least // 2)


def idle_stretches(trace: Trace) -> Idle:
    """Return the long idle gaps of a trace. While the trace runs, a gap can only become too short to count."""
    start = trace.started_at if trace.started_at is not None else trace.now
    least = max(0, int((min(trace.now, trace.last_at or start) - start) * _GAP))
    gaps: list[tuple[int, int]] = []
    latest: float = start
    for began, ended in sorted(_busy(trace)):
        if began - latest > least:
            gaps.append((int(latest), began))
        latest = max(latest, ended)
    return Idle(tuple(gaps), None if latest == inf else int(latest))


def _busy(trace: Trace) -> Iterator[tuple[int, float]]:
    """Yield the start and end of the work of each span. The end of running work is infinite.

    For a span with few events, its latest event is the end of its work. Finding the end event would double the time.
    """
    for span_id, span in trace.spans.items():
        if trace.children.get(span_id):
            yield span.first_at, span.first_at
            yield span.last_at, span.last_at
        elif len(span.events) < 3 and not span.is_open:
            yield span.first_at, span.last_at
        else:
            for attempt in span.attempts:
                began = attempt.started_at if attempt.started_at is not None else span.first_at
                yield began, attempt.ended_at if attempt.ended_at is not None else inf


def pieces(span: Span, line: Timeline, width: int) -> list[Piece]:
    """Return the bar of a span: wait, attempts and pauses. An attempt is at least one column wide."""
    drawn: list[Piece] = []
    for began, ended, kind in _parts(span, line.end):
        if ended <= line.start > began or began >= line.end < ended:
            continue
        first, last = line.column(began, width), line.column(ended, width)
        first = min(max(first, drawn[-1].end if drawn else 0), width - 1)
        if last <= first:
            if kind in ("wait", "pause"):
                continue
            last = first + 1
        if drawn and drawn[-1].end > first:
            drawn[-1] = Piece(drawn[-1].start, first, drawn[-1].kind)
        drawn.append(Piece(first, min(last, width), kind, ended > line.end))
    return [piece for piece in drawn if piece.end > piece.start]


def _parts(span: Span, end: int) -> Iterator[tuple[int, int, str]]:
    started, enqueued, over = span.started_at, span.enqueued_at, end if span.is_open else span.over_at
    if enqueued is not None and (started is None or enqueued < started):
        yield enqueued, over if started is None else started, "wait"
    latest: int | None = None
    attempts = span.attempts[-_MAX_ATTEMPTS:]
    for number, attempt in enumerate(attempts, start=1):
        began = attempt.started_at if attempt.started_at is not None else attempt.ended_at
        if began is None:
            continue
        if latest is not None and began > latest:
            yield latest, began, "pause"
        # An ended attempt of an open span has failed and will be retried.
        failed = attempt.ended_at is not None if span.is_open else span.has_failed
        latest = over if attempt.ended_at is None else attempt.ended_at
        yield began, max(began, latest), "lost" if failed or number < len(attempts) else "run"
    if latest is not None and span.is_open and latest < end:
        yield latest, end, "pause"
    if not attempts and started is None and enqueued is None:
        yield span.first_at, span.over_at, "lost" if span.has_failed else "run"
