"""The answers in words: one JSON object with stable keys, and Markdown that reads well as plain text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sagatrace_tui.model.anomaly import clipped, one_line
from sagatrace_tui.model.clock import clock, iso, length
from sagatrace_tui.model.compensation import Outcome, Standing
from sagatrace_tui.model.ledger import LedgerRow
from sagatrace_tui.model.span import Place, Span
from sagatrace_tui.model.trace import NeverRan, Trace
from sagatrace_tui.model.waiting import Waiting, waiting_on

__all__ = ["explain", "hand_over"]

_MAX_NAME: Final = 200
_MAX_ERROR: Final = 500  # characters of an error in the text; the JSON has it whole
_OUTCOMES: Final[Mapping[Outcome, str]] = {
    "compensated": "undo succeeded",
    "failed": "undo failed",
    "running": "undo running",
    "unconfirmed": "undo unconfirmed",
    "not_started": "undo not started",
}
_MEANINGS: Final = {"unconfirmed": "unconfirmed, its undo began and nobody told how it ended"}
_MEANINGS_SO_FAR: Final = {"undo never started": "undo not started so far"}
# What Markdown, or a chat, would act on; an underscore or a star only where it can open or close something.
_MARKUP: Final = re.compile(
    r"[*`\[\]<>~|\\@&$]|(?<![a-z0-9])_|_(?![a-z0-9])|://|www\.|(?<![a-z0-9]):[a-z][a-z0-9_+-]*:", re.IGNORECASE
)
_MAX_DETAIL: Final = 1_000  # characters of a sentence about something odd, which may hold names
_MAX_LINES: Final = 20  # entries of one list in the text; the JSON has them all


def explain(trace: Trace) -> dict[str, Any]:
    """The trace's answers as one JSON object; times as ISO 8601 in UTC, durations in milliseconds."""
    cause = trace.cause
    return {
        "trace_id": trace.trace_id,
        "verdict": trace.verdict,
        "summary": trace.summary,
        "started_at": iso(trace.started_at),
        "ended_at": iso(trace.ended_at),
        "duration_ms": None if trace.duration is None else trace.duration / 1000,
        "event_count": trace.event_count,
        "span_count": len(trace.spans),
        "cause": None if cause is None else _cause(cause),
        "failure_path": [{"span_id": one, "name": trace.spans[one].name} for one in trace.failure_path],
        "errors": [
            {"span_id": one, "name": trace.spans[one].name, "role": trace.roles[one], "error": _error(trace.spans[one])}
            for one in trace.failures
        ],
        "never_ran": [
            {"span_id": one.span_id, "name": one.name, "dependency_id": one.dependency_id} for one in trace.never_ran
        ],
        "compensations": [
            {
                "original_span_id": row.original_span_id,
                "original_name": row.original_name,
                "span_id": row.span_id,
                "outcome": row.outcome,
                "error": row.error,
                "started_at": iso(row.started_at),
                "ended_at": iso(row.ended_at),
            }
            for row in trace.ledger
        ],
        "still_standing": [
            {"span_id": one.span_id, "name": one.name, "reason": one.reason} for one in trace.still_standing
        ],
        "anomalies": [
            {"kind": one.kind, "span_ids": list(one.span_ids), "detail": one.detail} for one in trace.anomalies
        ],
    }


def _cause(span: Span) -> dict[str, Any]:
    return {
        "span_id": span.span_id,
        "name": span.name,
        "error": span.error or span.reason,
        "error_type": span.error_type,
        "at": iso(span.over_at),
    }


def _error(span: Span) -> str | None:
    # The reason of an undo is why its step was to be undone.
    return span.error or span.attempt_error or (None if span.kind == "compensation" else span.reason)


def hand_over(trace: Trace, inert: Callable[[str], str]) -> str:
    """The answers as Markdown to paste into an incident channel; every value a job wrote passes `inert`."""
    return "\n".join(_Text(trace, inert).lines()) + "\n"


class _Text:
    """Writes the hand-over. Nothing a job wrote can start a line or end a code span."""

    def __init__(self, trace: Trace, inert: Callable[[str], str]) -> None:
        self._trace, self._inert = trace, inert
        self._reason: str | None = None
        told = {one: trace.spans[one].name for one in trace.failures}
        told |= {one.span_id: one.name for one in trace.never_ran}
        told |= {one.span_id: one.name for one in trace.still_standing}
        told |= {row.original_span_id: row.original_name for row in trace.ledger}
        self._namesakes = {name for name, count in Counter(told.values()).items() if count > 1}

    def lines(self) -> Iterator[str]:
        """The text, line by line."""
        trace = self._trace
        name = self._plain(one_line(trace.name, _MAX_NAME))
        yield f"**{trace.verdict}** — {_quoted(self._inert(trace.trace_id))} {name}".rstrip()
        yield self._plain(trace.summary)
        yield from self._times()
        waiting = waiting_on(trace, trace.now)
        if waiting is not None:
            yield from self._section("Waiting on", list(self._waiting(waiting)), waiting.count)
        if trace.cause is not None:
            yield from self._why(trace.cause)
        yield from self._section("Other failures", list(self._other_failures()))
        yield from self._section("Never ran", [self._never_ran(one) for one in trace.never_ran])
        yield from self._section("Undo", [self._row(row) for row in trace.ledger])
        yield from self._section("Still standing", [self._stands(one) for one in trace.still_standing])
        yield from self._section(
            "Odd about this trace",
            [f"{self._plain(one.kind)}: {self._plain(clipped(one.detail, _MAX_DETAIL))}" for one in trace.anomalies],
        )

    def _times(self) -> Iterator[str]:
        trace = self._trace
        if trace.started_at is None:
            return
        silent = any(one.kind == "never_ended" for one in trace.anomalies)
        word = "last event" if trace.ended_at is None else "silent since" if silent else "ended"
        end = f"{word} {clock(trace.now - trace.silence(trace.now) if silent else trace.last_at)}"
        spans, events = len(trace.spans), trace.event_count
        counts = f"{spans} span{'' if spans == 1 else 's'}, {events} event{'' if events == 1 else 's'}"
        yield f"Started {clock(trace.started_at)}, {end}, {length(trace.duration or 0)}; {counts}."

    def _why(self, cause: Span) -> Iterator[str]:
        yield ""
        yield "**Why**"
        path = [self._code(self._trace.spans[one].name) for one in self._trace.failure_path]
        top = self._trace.spans[self._trace.failure_path[0]]
        if top.parent_id in self._trace.missing_parents:
            path.insert(0, f"(parent {self._code(top.parent_id or '')}, never seen)")
        yield "- path: " + " → ".join(path)
        error = one_line(cause.error or cause.reason or "", _MAX_ERROR)
        told = ": ".join(part for part in (one_line(cause.error_type or "", 100), error) if part)
        yield f"- cause: {self._code(cause.name)} {cause.status} at {self._clock(cause.over_at)}"
        if told:
            yield f"- error: {self._plain(told)}"
        if where := self._where_ran(cause):
            yield f"- where: {where}"
        yield f"- span: {self._code(cause.span_id)}"

    def _where_ran(self, cause: Span) -> str:
        """Where it ran; for a stage, where the job around it did."""
        path = [self._trace.spans[one] for one in reversed(self._trace.failure_path)]
        around = next((span for span in path if span.place.worker is not None), cause)
        where = self._where(around.place)
        return where if around is cause else f"in {self._code(around.name)}, {where}"

    def _clock(self, micros: int) -> str:
        """The moment; without its date where that is the day the trace began, which is told above."""
        day, time = clock(self._trace.started_at)[:11], clock(micros)
        return time.removeprefix(day)

    def _where(self, place: Place) -> str:
        told = [
            (word, value)
            for word, value in (("worker", place.worker), ("host", place.host), ("queue", place.queue))
            if value
        ]
        parts = [f"{word} {self._code(value)}" for word, value in told]
        if place.attempt is not None:
            allowed = f" of {place.attempts_allowed}" if place.attempts_allowed is not None else ""
            parts.append(f"attempt {place.attempt}{allowed}")
        return ", ".join(parts)

    def _waiting(self, waiting: Waiting) -> Iterator[str]:
        for one in waiting.waits:
            undoing = f" (undoes {self._code(one.undoing)})" if one.undoing else ""
            yield f"{self._code(one.name)}{undoing}: {self._plain(one.words)}"

    def _other_failures(self) -> Iterator[str]:
        roles = self._trace.roles
        for span_id in sorted(self._trace.failures, key=lambda one: roles[one] == "recovered"):  # these matter least
            role, span = roles[span_id], self._trace.spans[span_id]
            if role != "cause":
                error = one_line(_error(span) or "", _MAX_ERROR)
                yield f"{self._which(span_id, span.name)}: {role}{f' — {self._plain(error)}' if error else ''}"

    def _never_ran(self, one: NeverRan) -> str:
        return f"{self._which(one.span_id, one.name)}: waits for {self._code(one.dependency_name)}, which {one.fate}"

    def _stands(self, one: Standing) -> str:
        unsure = "" if one.explained else "; its own outcome is unknown, it may have taken effect"
        reason = clipped(one.reason, _MAX_DETAIL)
        meanings = _MEANINGS if self._trace.judgement.ended else {**_MEANINGS, **_MEANINGS_SO_FAR}
        for word, meaning in meanings.items():
            if reason.startswith(word):
                reason = meaning + reason.removeprefix(word)
        return f"{self._which(one.span_id, one.name)}: {self._plain(reason)}{unsure}"

    def _row(self, row: LedgerRow) -> str:
        parts = [f"{self._which(row.original_span_id, row.original_name)}: {_OUTCOMES[row.outcome]}"]
        if row.completed_at is not None:
            parts.append(f"step completed {self._clock(row.completed_at)}")
        if row.started_at is not None:
            end = f" to {self._clock(row.ended_at)}" if row.ended_at is not None else ""
            parts.append(f"undo {self._code(row.name or '')} {self._clock(row.started_at)}{end}")
        if row.attempts > 1:
            parts.append(f"{row.attempts} attempts")
        if row.place is not None and (where := self._where(row.place)):
            parts.append(where)
        if row.error:
            told = "error" if row.outcome == "failed" else "last error"
            parts.append(f"{told}: {self._plain(one_line(row.error, _MAX_ERROR))}")
        elif row.reason and row.reason != self._reason:  # told once for all that were undone for it
            self._reason = row.reason
            parts.append(f"because {self._plain(one_line(row.reason, _MAX_ERROR))}")
        return ", ".join(parts)

    def _section(self, title: str, entries: list[str], count: int = 0) -> Iterator[str]:
        """A list under its title; `count` is how many there are if not all are given."""
        if not entries:
            return
        yield ""
        yield f"**{title}**"
        yield from (f"- {entry}" for entry in entries[:_MAX_LINES])
        if (more := max(count, len(entries)) - _MAX_LINES) > 0:
            yield f"- and {more} more{'' if count else ' (`--json` has them all)'}"

    def _plain(self, text: str) -> str:
        """The text as it is, or as code if anything in it would be rendered or linked."""
        shown = self._inert(text)
        return _quoted(shown) if _MARKUP.search(shown) else shown

    def _code(self, text: str) -> str:
        return _quoted(self._inert(one_line(text, _MAX_NAME)))

    def _which(self, span_id: str, name: str) -> str:
        """The span's name, with its id where others that are told of have the same, as those of a fan-out have."""
        return f"{self._code(name)} ({self._code(span_id)})" if name in self._namesakes else self._code(name)


def _quoted(text: str) -> str:
    return f"`{text.replace('`', 'ˋ')}`"
