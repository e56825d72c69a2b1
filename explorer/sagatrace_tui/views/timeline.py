"""Time as columns: where in a row of so many columns a moment lies, long idle gaps drawn short if wanted. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.model import Span, Trace

__all__ = ["Piece", "Timeline", "pieces", "timeline"]

_GAP: Final = 0.04
"""The share of a trace from which on a gap is long, and what is left of it."""
_MAX_ATTEMPTS: Final = 64


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar, in columns [start, end): `wait`, `pause`, `lost` (an attempt that failed) or `run`."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """From `start` to `end`, in microseconds; `gaps` are (start, end) of stretches drawn short, in order."""

    start: int
    end: int
    gaps: tuple[tuple[int, int], ...] = ()
    kept: int = 0
    """Microseconds' worth of room that is left to each gap."""

    def squeezed(self, at: int) -> int:
        """The moment, as microseconds from the start with long gaps made short."""
        at = max(self.start, min(at, self.end))
        past = bisect_right(self.gaps, (at, at))
        saved = sum(end - start - self.kept for start, end in self.gaps[: max(0, past - 1)])
        if past:
            start, end = self.gaps[past - 1]
            saved += end - start - self.kept if at >= end else max(0, at - start - self.kept)
        return at - self.start - saved

    def column(self, at: int, width: int) -> int:
        """The column, 0 to `width`, at which the moment lies."""
        total = self.squeezed(self.end)
        return 0 if total <= 0 else round(self.squeezed(at) * width / total)


def timeline(trace: Trace, now: int, *, squeeze: bool) -> Timeline:
    """The whole of a trace; with `squeeze`, stretches in which no span without children was at work are short."""
    start = trace.started_at if trace.started_at is not None else now
    end = max(now, start) if trace.status == "running" else max(trace.last_at or start, start)
    if not squeeze or end <= start:
        return Timeline(start, end)
    least = int((end - start) * _GAP)
    gaps: list[tuple[int, int]] = []
    latest = start
    for began, ended in sorted(_busy(trace, end)):
        if began - latest > least:
            gaps.append((latest, began))
        latest = max(latest, ended)
    if end - latest > least:
        gaps.append((latest, end))
    return Timeline(start, end, tuple(gaps), least // 2)


def _busy(trace: Trace, end: int) -> Iterator[tuple[int, int]]:
    for span_id, span in trace.spans.items():
        if trace.children.get(span_id):
            yield span.first_at, span.first_at
            yield span.over_at, span.over_at
        elif len(span.events) < 3 and not span.is_open:
            yield span.first_at, span.over_at
        else:
            for attempt in span.attempts:
                began = attempt.started_at if attempt.started_at is not None else span.first_at
                yield began, attempt.ended_at if attempt.ended_at is not None else end


def pieces(span: Span, line: Timeline, width: int) -> list[Piece]:
    """The bar of a span: its wait, its attempts, the pauses between them. Every part is a column wide at least."""
    found = list(_parts(span, line.end))
    drawn: list[Piece] = []
    for began, ended, kind in found:
        first, last = line.column(began, width), line.column(ended, width)
        first = min(max(first, drawn[-1].end if drawn else 0), width - 1)
        if last <= first:
            if kind in ("wait", "pause"):
                continue
            last = first + 1
        if drawn and drawn[-1].end > first:
            drawn[-1] = Piece(drawn[-1].start, first, drawn[-1].kind)
        drawn.append(Piece(first, min(last, width), kind))
    return [piece for piece in drawn if piece.end > piece.start]


def _parts(span: Span, end: int) -> Iterable[tuple[int, int, str]]:
    started = span.started_at
    enqueued = span.enqueued_at
    if enqueued is not None and (started is None or enqueued < started):
        yield enqueued, started if started is not None else (end if span.is_open else span.over_at), "wait"
    latest: int | None = None
    attempts = span.attempts[-_MAX_ATTEMPTS:]
    for index, attempt in enumerate(attempts, start=1):
        began = attempt.started_at if attempt.started_at is not None else attempt.ended_at
        if began is None:
            continue
        ended = attempt.ended_at if attempt.ended_at is not None else (end if span.is_open else span.over_at)
        if latest is not None and began > latest:
            yield latest, began, "pause"
        # One that is over while its span goes on is to be tried again.
        failed = attempt.ended_at is not None if span.is_open else span.status == "failed" and len(attempts) > 1
        yield began, max(began, ended), "lost" if failed or index < len(attempts) else "run"
        latest = ended
    if latest is not None and span.is_open and latest < end:
        yield latest, end, "pause"
    if not attempts and started is None and enqueued is None:
        yield span.first_at, span.over_at, "run"
