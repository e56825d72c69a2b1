"""The verdict as one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.model.answers import Verdict
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import LONGEST_NAME, clipped, counted, listed, one_line

__all__ = ["SummaryFacts", "cause_text", "summary_of"]

_MAX_ERROR: Final = 200  # characters of an error within the sentence


@dataclass(frozen=True, slots=True)
class SummaryFacts:
    """What the sentence is made of; names are in the order they are to be given.

    `undone` and `steps` count the steps that were undone and those that were to be. `unsettled` holds, per compensation
    of no known step, its name and how it went. `reported_success` is whether the saga itself said that it succeeded.
    """

    verdict: Verdict
    cause: Span | None
    reported_success: bool
    recovered: int
    running: Sequence[str]
    blocked: int
    never_ended: Sequence[str]
    undone: int
    steps: int
    undone_names: Sequence[str]
    standing: int
    standing_names: Sequence[str]
    unsettled: Sequence[tuple[str, str]]


def summary_of(facts: SummaryFacts) -> str:
    """Return how a trace stands, in one sentence."""
    verdict, cause = facts.verdict, facts.cause
    at = cause_text(cause) if cause is not None else ""
    if verdict == "running":
        return " · ".join(part for part in (at, _running(facts)) if part)
    if verdict == "unknown":
        names = facts.never_ended
        never = f"; {counted(len(names), 'span')} never ended: {listed(names)}" if names else ""
        standing = f"; {_standing(facts)}" if facts.standing else ""
        return f"unknown: no outcome of its root and no failure{never}{standing}"
    if verdict == "succeeded":
        return f"succeeded · {counted(facts.recovered, 'failure')} recovered" if facts.recovered else "succeeded"
    if cause is None and verdict == "rollback_incomplete" and not facts.reported_success:
        at = "no failure recorded"
    sentence = " · ".join(part for part in (at, _undoing(facts)) if part)
    return f"reported success, but {sentence}" if facts.reported_success else sentence


def cause_text(span: Span) -> str:
    """Return where a trace failed and with which error."""
    words = span.status if span.status in ("stopped", "canceled", "interrupted") else "failed"
    error = one_line(span.error or span.reason or span.attempt_error or "", _MAX_ERROR)
    because = ": ".join(part for part in (one_line(span.error_type or "", 80), error) if part)
    return f"{words} at {clipped(span.name, LONGEST_NAME)}{f' ({because})' if because else ''}"


def _running(facts: SummaryFacts) -> str:
    if facts.running:
        return f"running: {listed(facts.running)}"
    if facts.blocked:
        wait = "waits" if facts.blocked == 1 else "wait"
        return f"nothing runs: {counted(facts.blocked, 'span')} {wait} for a span that failed"
    return "running"


def _undoing(facts: SummaryFacts) -> str:
    done, steps = facts.undone, counted(facts.steps, "step")
    match facts.verdict:
        case "failed":
            return "nothing to undo"
        case "rolled_back":
            undone = "both steps" if done == 2 else f"{'all ' if done > 1 else ''}{counted(done, 'step')}"
            return f"rolled back: {undone} undone" if done else "rolled back"
        case "compensating":
            return f"compensating: {done} of {steps} undone"
        case "rollback_missing":
            return f"rollback missing: {_standing(facts)}, and no compensation began"
        case "rollback_incomplete" if facts.standing:
            return f"rollback incomplete: {_standing(facts)}"
        case "rollback_incomplete":
            return f"rollback incomplete: {_unsettled(facts)}"
        case "succeeded_but_compensated":
            return (
                f"compensated: {listed(facts.undone_names, facts.undone)} undone"
                if facts.undone_names
                else "compensation began"
            )
    return ""


def _standing(facts: SummaryFacts) -> str:
    steps = counted(max(facts.steps, facts.standing), "step")
    return f"{facts.standing} of {steps} still standing ({listed(facts.standing_names, facts.standing)})"


def _unsettled(facts: SummaryFacts) -> str:
    names: dict[str, list[str]] = {}
    for name, words in facts.unsettled:
        names.setdefault(words, []).append(name)
    return "; ".join(f"{listed(named)} {words}" for words, named in names.items())
