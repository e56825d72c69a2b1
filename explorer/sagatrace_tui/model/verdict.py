"""The one word and the one sentence: how a trace stands as of now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sagatrace_tui.model.anomaly import LONGEST_NAME, SHOWN, clipped, listed, one_line
from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.compensation import Compensations, Footing
from sagatrace_tui.model.failures import Failures, in_order
from sagatrace_tui.model.fold import Fold
from sagatrace_tui.model.rollback_checks import Undoing
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest

__all__ = ["IDLE", "Judge", "Judgement", "Verdict"]

IDLE: Final = 15 * 60 * 1_000_000
"""Microseconds without an event after which a trace counts as ended."""

Verdict = Literal[
    "succeeded",
    "running",
    "compensating",
    "failed",
    "rolled_back",
    "rollback_incomplete",
    "rollback_missing",
    "succeeded_but_compensated",
    "unknown",
]

_MAX_ERROR: Final = 200  # characters of an error within the sentence


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and what it rests on: `cause` is the span it failed, or was stopped, at."""

    verdict: Verdict
    ended: bool
    aborted: bool
    cause: str | None


@dataclass(frozen=True, slots=True)
class Judge:
    """Reads a verdict off what is kept ready about a trace."""

    fold: Fold
    forest: Forest
    census: Census
    areas: Areas
    failures: Failures
    compensations: Compensations
    undoing: Undoing

    def silence(self, now: int) -> int:
        """Microseconds without an event, as of `now`.

        An event dated further ahead than `IDLE` was stamped by a wrong clock: when it was emitted nobody knows, so it
        does not count. Where all are, the wrong clock may be the reader's, and there is no silence to tell of.
        """
        last_at = self.fold.last_by(now + IDLE)
        return 0 if last_at is None else max(0, now - last_at)

    def is_idle(self, now: int) -> bool:
        """Whether nothing was told for so long, as of `now`, that a trace counts as ended.

        What failed and is to be tried again at a time that was told is waited for; so is what was scheduled, while the
        root is open: a job that is left for next week does not keep a trace running that is over. A root that is over
        and did not go well waits for nothing.
        """
        if self.silence(now) <= IDLE:
            return False
        due, starts = self.census.retries_due, self.census.starts_due
        if due or starts:
            heads = self._heads()
            if not _are_closed(heads):
                due = due | starts
            elif any(head.status != "success" for head in heads):
                due = {}
        return not due or now - max(due.values()) > IDLE

    def _heads(self) -> list[Span]:
        return [self.fold.spans[one] for one in self.forest.heads() if one not in self.areas.owner]

    def ahead(self, now: int) -> list[Span]:
        """The spans with events that are dated too far ahead to be believed, the furthest first."""
        if self.fold.last_at is None or self.fold.last_at <= now + IDLE:
            return []
        spans = [span for span in self.fold.spans.values() if span.last_at > now + IDLE]
        return sorted(spans, key=lambda span: (-span.last_at, span.span_id))

    def judge(self, *, now: int) -> Judgement:
        """The verdict as of `now`."""
        if self.fold.last_at is None:
            return Judgement("unknown", ended=True, aborted=False, cause=None)
        heads = self._heads()
        closed = _are_closed(heads)
        waiting = self.census.open and len(self.census.open) > len(self.failures.never_ran())
        ended = (closed and not waiting) or self.is_idle(now)
        cause = self.failures.cause()
        if cause is None and any(head.status in ("stopped", "canceled") for head in heads):
            cause = self._halted()
        succeeded = closed and any(head.status == "success" for head in heads)
        undoing = bool(self.census.undoing or self.census.unwound)
        undone = undoing and self.undoing.began_outside_branches()
        aborted = cause is not None or (undone and not succeeded)
        verdict = self._verdict(ended=ended, aborted=aborted, undone=undone, succeeded=succeeded)
        return Judgement(verdict, ended, aborted, cause)

    def _verdict(self, *, ended: bool, aborted: bool, undone: bool, succeeded: bool) -> Verdict:
        if not ended:
            return "compensating" if undone else "running"
        if aborted:
            began = self.compensations.began()
            if any(self.compensations.by_footing.get(one) for one in ("standing", "unsure", "pending")):
                return "rollback_incomplete" if began else "rollback_missing"
            if self.undoing.unsettled():
                return "rollback_incomplete"
            return "rolled_back" if began else "failed"
        if not succeeded:
            return "unknown"
        if (self.census.undoing or self.census.unwound) and (
            self.undoing.left_in_branches() or self.undoing.unsettled_in_branches()
        ):
            return "rollback_incomplete"
        return "succeeded_but_compensated" if undone else "succeeded"

    def _halted(self) -> str:
        """What a trace was stopped or canceled at, where nothing failed: the first with none such below it."""
        halted = [one for one in self.census.halted if one not in self.areas.owner]
        around = {above for one in halted for above in self.forest.ancestors_of(one)}
        return in_order(self.fold, [one for one in halted if one not in around])[0]

    def sentence(self, judgement: Judgement) -> str:
        """The verdict as a sentence."""
        verdict, cause = judgement.verdict, judgement.cause
        if not self.fold.spans:
            return "unknown: no usable events"
        if verdict == "running":
            return self._running(cause)
        if verdict == "unknown":
            names = [self.fold.spans[one].name for one in sorted(self.census.open)]
            never = f"; {_count(len(names), 'span')} never ended: {listed(names)}" if names else ""
            return f"unknown: no outcome of its root and no failure{never}"
        parts = [self._at(cause)] if cause else []
        if not cause and verdict in ("succeeded", "succeeded_but_compensated", "rollback_incomplete"):
            parts = ["no failure recorded" if judgement.aborted else "succeeded"]
        if verdict == "succeeded" and (count := list(self.failures.roles().values()).count("recovered")):
            parts.append(f"{_count(count, 'failure')} made good")
        parts.append(self._undone(judgement))
        return " · ".join(part for part in parts if part)

    def _running(self, cause: str | None) -> str:
        names = [self.fold.spans[one].name for one in self.innermost()]
        blocked = len(self.failures.never_ran()) if not names else 0
        waiting = f"nothing runs: {_count(blocked, 'span')} {'waits' if blocked == 1 else 'wait'} for what failed"
        doing = f"running: {listed(names)}" if names else waiting if blocked else "running"
        return f"{self._at(cause)} · {doing}" if cause else doing

    def innermost(self) -> list[str]:
        """The open spans that wait for no other below them: undos first, then what runs, each from its last event on.

        What will never run is none of them. Costs a look at every open span, so who asks keeps the answer.
        """
        going_on = self.census.open.difference(self.failures.never_ran())
        around: set[str] = set()
        for span_id in going_on:
            for above in self.forest.ancestors_of(span_id):
                if above in around:
                    break
                around.add(above)
        spans, owner = self.fold.spans, self.areas.owner

        def importance(span_id: str) -> tuple[bool, bool, int, str]:
            span = spans[span_id]
            return span_id not in owner, span.status != "running", span.last_at, span_id

        return sorted(going_on - around, key=importance)

    def undone(self) -> tuple[int, int]:
        """How many steps were undone, and of how many that were to be."""
        done, left = self._counted("undone", "covered"), self._counted("standing", "unsure", "pending")
        return done, done + left

    def _counted(self, *footings: Footing) -> int:
        return sum(len(self.compensations.by_footing.get(one, ())) for one in footings)

    def _at(self, cause: str) -> str:
        span = self.fold.spans[cause]
        word = span.status if span.status in ("stopped", "canceled") else "failed"
        return f"{word} at {clipped(span.name, LONGEST_NAME)}{_because(span)}"

    def _undone(self, judgement: Judgement) -> str:
        by_footing, verdict = self.compensations.by_footing, judgement.verdict
        done, steps_in_all = self.undone()
        left = steps_in_all - done
        names = self.compensations.first_standing(SHOWN)
        if verdict == "rollback_incomplete" and not judgement.aborted:
            # What went well in the end is meant to stand.
            in_branches = self.undoing.left_in_branches()
            left, names = len(in_branches), self.compensations.names_in_order(in_branches)[:SHOWN]
        steps = _count(done + left, "step")
        match verdict:
            case "failed":
                return "nothing to undo"
            case "rolled_back":
                undone = "both steps" if done == 2 else f"{'all ' if done > 1 else ''}{_count(done, 'step')}"
                return f"rolled back: {undone} undone" if done else "rolled back"
            case "compensating":
                return f"compensating: {done} of {steps} undone"
            case "rollback_missing":
                return f"rollback missing: {_standing(names, left, steps)}, and no undo ever began"
            case "rollback_incomplete" if left:
                return f"rollback incomplete: {_standing(names, left, steps)}"
            case "rollback_incomplete":
                return f"rollback incomplete: {self._unsettled(judgement)}"
            case "succeeded_but_compensated":
                undone = listed([self.compensations.name_of(one) for one in sorted(by_footing.get("undone", ()))])
                return f"yet undone: {undone}" if undone else "yet its undoing began"
        return ""

    def _unsettled(self, judgement: Judgement) -> str:
        """How the undoing that no step tells of went, for the sentence."""
        names: dict[str, list[str]] = {}
        found = self.undoing.unsettled() if judgement.aborted else self.undoing.unsettled_in_branches()
        for span_id, words in found.items():
            names.setdefault(words, []).append(self.fold.spans[span_id].name)
        return "; ".join(f"{listed(named)} {words}" for words, named in names.items())


def _are_closed(heads: list[Span]) -> bool:
    return bool(heads) and not any(head.is_open for head in heads)


def _standing(names: list[str], left: int, steps: str) -> str:
    return f"{left} of {steps} still standing ({listed(names, left)})"


def _because(span: Span) -> str:
    error = one_line(span.error or span.reason or "", _MAX_ERROR)
    told = ": ".join(part for part in (one_line(span.error_type or "", 80), error) if part)
    return f" ({told})" if told else ""


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
