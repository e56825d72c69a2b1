"""The verdict as one sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from sagatrace_tui.model.answers import TraceStatus, Verdict
from sagatrace_tui.model.compensation import Steps
from sagatrace_tui.model.side_effects import ended_unknown
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import LONGEST_NAME, clipped, counted, listed, one_line
from sagatrace_tui.model.tree import SpanTree

__all__ = ["Sentence", "cause_text"]

_MAX_ERROR: Final = 200  # characters of an error within the sentence
_SAMPLED: Final = "sampled: earlier events were not recorded, so steps may stand"


class Sentence(msgspec.Struct):
    """The facts of a trace for its sentence. `text` makes the sentence.

    `failure` is the result of `cause_text`; empty without a failure. `running` holds the ids of its open spans.
    `queued` holds those of them that wait to start or to be retried.
    `passed_by` counts the steps that stand although the trace still compensates.
    `unsettled` gives the outcome, in words, of each compensation without a known step. `is_sampled` is True if the
    trace was recorded only from its first failure.
    """

    verdict: Verdict
    status: TraceStatus
    failure: str
    steps: Steps
    standing: Sequence[str]
    unsettled: Mapping[str, str]
    passed_by: int
    recovered: int
    running: Sequence[str]
    queued: Collection[str]
    is_sampled: bool

    def text(self) -> str:
        """Return the sentence."""
        at = self.failure
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
        if not at and self.verdict == "rollback_incomplete":
            at = "no failure recorded"
        return _joined(at, self._undoing())

    def _running(self) -> str:
        blocked = len(self.steps.never_ran)
        if self.running or not blocked:
            work = [one for one in self.running if one not in self.queued]
            waits = [one for one in self.running if one in self.queued]
            parts = (f"{word}: {self._listed(some)}" for word, some in (("running", work), ("queued", waits)) if some)
            return _joined(*parts) or "running"
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
                passed = f", {self.passed_by} still standing" if self.passed_by else ""
                return f"compensating: {done} of {counted(steps, 'step')} undone{passed}"
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


def cause_text(tree: SpanTree, path: Sequence[str], runs_of: Callable[[str], Sequence[str]]) -> str:
    """Return the place and the error of a failure, as text.

    Args:
        tree: the spans of the trace.
        path: the span ids from the root to the cause.
        runs_of: returns the span ids of all runs of a job.
    """
    span = tree.spans[path[-1]]
    words = span.status if span.status in ("stopped", "canceled", "interrupted") else "failed"
    runs = [(tree.spans[one].run, len(runs_of(one))) for one in path if tree.spans[one].run]
    run = f" in run {runs[-1][0]} of {runs[-1][1]}" if runs else ""
    may_have_hung = span.span_id in tree.children and ended_unknown(span)
    ran = listed([one.short_name for one in _running_at_end(tree, span)]) if may_have_hung else ""
    error = one_line(span.error or span.reason or span.attempt_error or "", _MAX_ERROR)
    because = ": ".join(filter(None, (one_line(span.error_type or "", 80), error)))
    at = f"{words} at {clipped(span.short_name, LONGEST_NAME)}{run}{f' while {ran} ran' if ran else ''}"
    return f"{at} ({because})" if because else at


def _running_at_end(tree: SpanTree, span: Span) -> list[Span]:
    """Return the innermost spans that ran below a span when it failed. After that moment only compensations began."""
    work: list[Span] = []
    undos: list[int] = []
    waiting = list(tree.children.get(span.span_id, ()))
    while waiting:
        one = tree.spans[waiting.pop()]
        if one.state.is_compensation or one.original_span_id is not None:
            undos.append(one.first_at)
            continue
        waiting.extend(tree.children.get(one.span_id, ()))
        if one.has_begun and one.state.kind != "point":
            work.append(one)
    latest = max((one.began_at for one in work), default=0)
    moment = min([span.over_at, *(undo for undo in undos if undo > latest)])
    ran = [one for one in work if one.began_at < moment and not one.was_over_by(moment)]
    around = {above for one in ran for above in tree.ancestors_of(one.span_id)}
    return [one for one in ran if one.span_id not in around]
