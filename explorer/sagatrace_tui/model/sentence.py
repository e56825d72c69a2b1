"""The verdict as one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sagatrace_tui.model.answers import TraceStatus, Verdict
from sagatrace_tui.model.compensation import Steps
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import LONGEST_NAME, clipped, counted, listed, one_line

__all__ = ["Sentence", "cause_text"]

_MAX_ERROR: Final = 200  # characters of an error within the sentence
_SAMPLED: Final = "sampled: earlier events were not recorded, so steps may stand"


class Sentence(msgspec.Struct):
    """The facts of a trace for its sentence. `text` makes the sentence.

    `running` holds the ids of its open spans. `unsettled` gives the outcome, in words, of each compensation without a
    known step. `is_sampled` is True if the trace was recorded only from its first failure.
    """

    verdict: Verdict
    status: TraceStatus
    cause: Span | None
    steps: Steps
    standing: Sequence[str]
    unsettled: Mapping[str, str]
    recovered: int
    running: Sequence[str]
    is_sampled: bool

    def text(self) -> str:
        """Return the sentence."""
        at = cause_text(self.cause) if self.cause is not None else ""
        if self.is_sampled and self.verdict in ("failed", "unknown"):
            return _joined(at or self.verdict, _SAMPLED)
        match self.verdict:
            case "running":
                return _joined(at, self._running())
            case "unknown":
                count, names = counted(len(self.running), "span"), self._listed(self.running)
                never = f"; {count} never ended: {names}" if names else ""
                standing = f"; {self._standing()}" if self.standing else ""
                return f"unknown: no outcome of its root and no failure{never}{standing}"
            case "succeeded":
                return _joined("succeeded", f"{counted(self.recovered, 'failure')} recovered" if self.recovered else "")
        if self.status == "success":
            return f"reported success, but {_joined(at, self._undoing())}"
        if self.cause is None and self.verdict == "rollback_incomplete":
            at = "no failure recorded"
        return _joined(at, self._undoing())

    def _running(self) -> str:
        blocked = len(self.steps.never_ran)
        if self.running or not blocked:
            return f"running: {self._listed(self.running)}" if self.running else "running"
        return f"nothing runs: {counted(blocked, 'span')} {'waits' if blocked == 1 else 'wait'} for a span that failed"

    def _undoing(self) -> str:
        done, steps = self.steps.undone
        match self.verdict:
            case "failed":
                return "nothing to undo"
            case "rolled_back":
                undone = "both steps" if done == 2 else f"{'all ' if done > 1 else ''}{counted(done, 'step')}"
                return f"rolled back: {undone} undone" if done else "rolled back"
            case "compensating":
                return f"compensating: {done} of {counted(steps, 'step')} undone"
            case "rollback_missing":
                return f"rollback missing: {self._standing()}, and no compensation began"
            case "rollback_incomplete":
                return f"rollback incomplete: {self._standing() if self.standing else self._unsettled()}"
        undone = self._names(self.steps.in_state("undone"), done)
        return f"compensated: {undone} undone" if undone else "compensation began"

    def _standing(self) -> str:
        done, to_undo = self.steps.undone
        count = len(self.standing)
        is_open_or_failed = self.status not in ("success", "unknown")
        steps = counted(max(to_undo if is_open_or_failed else done + count, count), "step")
        return f"{count} of {steps} still standing ({self._names(self.standing, count)})"

    def _names(self, steps: Sequence[str], count: int) -> str:
        return listed(self.steps.first_names(steps), count)

    def _unsettled(self) -> str:
        undos: dict[str, list[str]] = {}
        for undo_id, words in self.unsettled.items():
            undos.setdefault(words, []).append(undo_id)
        return "; ".join(f"{self._listed(went_so)} {words}" for words, went_so in undos.items())

    def _listed(self, span_ids: Sequence[str]) -> str:
        return listed([self.steps.short_name_of(one) for one in span_ids])


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def cause_text(span: Span) -> str:
    """Return the place and the error of a trace's failure, as text."""
    words = span.status if span.status in ("stopped", "canceled", "interrupted") else "failed"
    error = one_line(span.error or span.reason or span.attempt_error or "", _MAX_ERROR)
    because = ": ".join(filter(None, (one_line(span.error_type or "", 80), error)))
    return f"{words} at {clipped(span.short_name, LONGEST_NAME)}{f' ({because})' if because else ''}"
