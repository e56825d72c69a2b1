"""What a step may have left behind though it failed: ends that tell nothing, and work below it that went on.

A step that failed outright left nothing to undo. It may have taken effect if its own end leaves open how far it
got, or if something below it did: completed after the step had given up, ended in the dark, or never ended. What
completed below it before it failed counts as well: the step's undo is the only one there is for that work, and to
say that there is nothing to undo would be a guess. A step below that has an undo of its own answers for itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.clock import clock
from sagatrace_tui.model.event_data import facts_of
from sagatrace_tui.model.fold import Change, Fold
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest

__all__ = ["Effects", "Evidence", "ended_in_the_dark"]

Trail = Literal["late", "open", "dark", "done"]

# Ends of the names of errors that say that nobody knows how far the work got, as letters only.
_DARK: Final = re.compile(
    r"(?!invalid|bad|illegal).*("
    r"timeout|timedout|timelimitexceeded|deadlineexceeded|deadlineexpired"
    r"|connection(error|reset|aborted|closed|lost|dropped|interrupted|terminated)|brokenpipe|brokenprocesspool"
    r"|(server|remote|client)disconnected|remoteprotocol|incompleteread|chunkedencoding"
    r"|(worker|horse|process|job|task)(was)?(lost|killed|terminated|abandoned|died|interrupted)"
    r"|(lost|killed|terminated|abandoned|dead)(worker|workhorse|horse|process|job|task)"
    r")(error|exception|expired|failure)?"
    r"|(shutdownimminent|stoprequested|cancelled|keyboardinterrupt|systemexit)(error|exception)?"
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One sentence on what speaks for a failed step's effect; `certain` is whether it did take effect."""

    sentence: str
    certain: bool


class Effects:
    """Per step that was asked for, the spans below it that speak for an effect, kept as events come."""

    def __init__(self, fold: Fold, forest: Forest, census: Census, areas: Areas) -> None:
        self._fold, self._spans, self._forest, self._census, self._areas = fold, fold.spans, forest, census, areas
        self._found: dict[str, dict[str, Trail]] = {}
        self._step_of: dict[str, str] = {}

    def of(self, step: str) -> Collection[str]:
        """The spans below a step that speak for an effect; of a step that went well, only what outlasted it."""
        return self._trails(step).keys()

    def _trails(self, step: str) -> dict[str, Trail]:
        if step not in self._found:
            self._found[step] = {}
            self._search(step, step)
        return self._found[step]

    def outlast(self, step: str, moment: int) -> bool:
        """Whether anything below a step may have taken effect after that moment."""
        spans = (self._spans[one] for one in self.of(step))
        return any(span.is_open or not span.was_over_by(moment) for span in spans)

    def update(self, change: Change) -> Iterable[str]:
        """Take a change of one span; returns the steps it may concern."""
        span_id, touched = change.span.span_id, set[str]()
        self._found.pop(span_id, None)
        parent = self._forest.parent_of(span_id) or ""
        if change.was is None:
            touched |= self._release(change.span.original_span_id or "")
            top = parent if parent in self._found else self._step_of.get(parent)
            if top is not None:
                self._note(parent)
                self._take(span_id, top)
                touched.add(top)
            return touched
        if change.declared:
            touched |= self._release(span_id)
        if change.undoes:
            touched |= self._release(change.span.original_span_id or "")
        if (step := self._step_of.get(span_id)) is not None:
            self._note(span_id)
            touched.add(step)
        return touched

    def _take(self, span_id: str, step: str) -> None:
        if not self._is_outside(span_id):
            self._step_of[span_id] = step
            self._note(span_id)
            self._search(span_id, step)

    def _is_outside(self, span_id: str) -> bool:
        """Whether a span belongs to the undoing, or is a step of its own."""
        return span_id in self._areas.owner or span_id in self._census.declared or span_id in self._census.undos_of

    def _search(self, top: str, step: str) -> None:
        spans, children, step_of = self._spans, self._forest.children, self._step_of
        owner, declared, undos_of = self._areas.owner, self._census.declared, self._census.undos_of
        end, when = self._well_ended(step), self._fold.when
        waiting = [top]
        while waiting:
            for child in children.get(waiting.pop(), ()):
                if child in owner or child in declared or child in undos_of:
                    continue
                step_of[child] = step
                # Most jobs of a step that went well are over before it: their last event tells, without a closer look.
                span = spans[child]
                if end is None or not span.state.plain or when(span.events[-1]) > end:
                    self._note(child)
                if child in children:
                    waiting.append(child)

    def _well_ended(self, step: str) -> str | None:
        span = self._spans.get(step)
        return None if span is None or span.status != "success" else self._fold.when(span.closing_event)

    def _release(self, span_id: str) -> set[str]:
        """Take out a span that has become a step itself, and all below it."""
        step = self._step_of.get(span_id)
        if step is None:
            return set()
        waiting = [span_id]
        while waiting:
            one = waiting.pop()
            del self._step_of[one]
            self._found.get(step, {}).pop(one, None)
            waiting.extend(child for child in self._forest.children.get(one, ()) if self._step_of.get(child) == step)
        return {step}

    def _note(self, span_id: str) -> None:
        step = self._step_of.get(span_id)
        found = self._found.get(step or "")
        if step is None or found is None:
            return
        trail = self._trail(self._spans[span_id], self._spans.get(step))
        if trail is None:
            found.pop(span_id, None)
        else:
            found[span_id] = trail

    def _trail(self, span: Span, step: Span | None) -> Trail | None:
        if step is None or step.is_open or span.state.kind == "point":
            return None
        if span.is_open:
            # What waits for another span runs only after that one went well.
            return "open" if span.has_begun or not span.dependencies else None
        if span.status == "success" and not span.was_over_by(step.over_at):
            return "late"
        if step.status == "success":
            return None
        if span.status == "success":
            return "done" if span.span_id not in self._forest.children else None
        return "dark" if ended_in_the_dark(span) else None

    def evidence(self, step: str, *, ended: bool) -> Evidence | None:
        """What speaks most strongly for the effect of a step that did not end well."""
        trails = self._trails(step)
        end = "failed" if self._spans[step].status == "failed" else "ended"
        for trail in ("late", "open", "dark", "done"):
            spans = [self._spans[one] for one, what in trails.items() if what == trail]
            if spans:
                span = min(spans, key=lambda span: (span.over_at, span.span_id))
                more = f" (and {len(spans) - 1} more)" if len(spans) > 1 else ""
                name = f"its {'job ' if span.state.kind == 'job' else ''}{span.name}{more}"
                return Evidence(_sentence(trail, span, name, end, ended=ended), trail == "late")
        return None


def _sentence(trail: Trail, span: Span, name: str, end: str, *, ended: bool) -> str:
    match trail:
        case "late":
            return f"{name} completed at {clock(span.over_at)}, after it had {end}: it took effect"
        case "done":
            return f"{name} completed at {clock(span.over_at)}, before it {end}: it may have taken effect"
        case "dark":
            told = _dark_error(span) or ("its worker was lost" if span.is_presumed else span.status)
            return f"how far {name} got is unknown ({told}): it may have taken effect"
        case "open" if span.has_begun:
            return f"{name} {'never ended' if ended else 'is still running'}: it may have taken effect"
    return f"{name} was never taken: it may still run" if ended else f"{name} is still waiting: it may yet run"


def ended_in_the_dark(span: Span) -> bool:
    """Whether a span's end, or that of one of its attempts, leaves open how far it got."""
    if span.status == "canceled" and not span.is_presumed and _only_waited(span):
        return False
    if span.state.unwinding == "failed" and span.closing_event is span.unwound[1]:
        return True  # it tells how its undoing ended, and not how it did
    if span.status in ("stopped", "canceled") or span.is_presumed:
        return True
    return _dark_error(span) is not None


def _only_waited(span: Span) -> bool:
    return span.enqueued_at is not None and span.started_at is None and len(span.attempts) < 2


def _dark_error(span: Span) -> str | None:
    told = (facts_of(event) for event in reversed(span.events))
    types = (facts.error_type for facts in told if facts.presumed is not True)
    return next((one for one in types if isinstance(one, str) and _is_dark(one)), None)


def _is_dark(error_type: str) -> bool:
    name = re.sub(r"[^a-z]", "", error_type[-200:].rpartition(".")[2].lower())
    return _DARK.fullmatch(name) is not None
