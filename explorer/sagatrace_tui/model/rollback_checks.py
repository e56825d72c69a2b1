"""Find the anomalies of a rollback: steps undone in the wrong order, twice, without need or too early; late steps."""

from __future__ import annotations

from collections.abc import Iterator

from sagatrace_tui.model.answers import Anomaly
from sagatrace_tui.model.compensation import Steps
from sagatrace_tui.model.rollback_order import UndoneStep, swapped_pairs
from sagatrace_tui.model.side_effects import ended_unknown
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.text import listed
from sagatrace_tui.model.tree import SpanIndex

__all__ = ["RollbackChecks"]

# For each end of a window, the time when undoing began. Steps between the two are late.
_Windows = dict[int | None, int]


class RollbackChecks:
    """All checks of the rollback, in a fixed order."""

    def __init__(self, index: SpanIndex, steps: Steps) -> None:
        self._index, self._tree, self._spans, self._steps = index, index.tree, index.spans, steps

    def anomalies(self) -> Iterator[Anomaly]:
        """Yield the anomalies."""
        yield from self._out_of_order()
        for step in sorted(self._index.undos_of):
            yield from self._of_step(step)
        yield from self._after_abort()

    def _of_step(self, step: str) -> Iterator[Anomaly]:
        undos = self._begun_undos(step)
        span, name = self._spans.get(step), self._steps.name_of(step)
        if twice := _twice(undos):
            yield Anomaly("double_undo", (step, *twice), f"{name} was undone {len(twice)} times")
        for undo in undos:
            if span is None:
                detail = f"{undo.name} undoes {step}, which this trace does not contain"
                yield Anomaly("empty_undo", (undo.span_id,), detail)
            elif self._hangs(undo, span):
                late = (span.over_at - undo.over_at) / 1000
                detail = f"the undo of {name} ended {late:g} ms before {name}: later effects of it are not undone"
                yield Anomaly("hanging_undo", (step, undo.span_id), detail)
            elif self._is_empty(span):
                detail = f"{undo.name} undoes {name}, which did not complete ({span.status})"
                yield Anomaly("empty_undo", (step, undo.span_id), detail)

    def _hangs(self, undo: Span, step: Span) -> bool:
        """Return whether a compensation ended before its step. A step that fails may undo itself before it ends."""
        if undo.status != "success" or step.is_open or step.over_at <= undo.over_at or step.is_presumed:
            return False  # a presumed end has the time at which it was inferred
        return step.status == "success" or step.span_id not in self._tree.ancestors_of(undo.span_id)

    def _is_empty(self, span: Span) -> bool:
        if span.status == "queued" and not span.has_begun:
            return self._steps.ended
        if span.status != "failed" or ended_unknown(span) or self._steps.effects.of(span.span_id):
            return False
        # Undoing a failed stage is right if a step below it completed.
        return not any(self._steps.states.get(one) == "covered" for one in self._tree.below(span.span_id))

    def _out_of_order(self) -> Iterator[Anomaly]:
        pairs = list(swapped_pairs(list(self._undone_steps()), self._tree))
        if pairs:
            wrong = dict.fromkeys(one.undo.span_id for pair in pairs for one in pair)
            first, second = (one.step.name for one in pairs[0])
            more = f", and {len(wrong) - 2} more" if len(wrong) > 2 else ""
            detail = f"{first} was undone before {second}, which completed after it{more}"
            yield Anomaly("out_of_order_undo", tuple(wrong), detail)

    def _undone_steps(self) -> Iterator[UndoneStep]:
        for step_id in sorted(self._index.undos_of.keys() | self._index.unwound):
            step, undos = self._spans.get(step_id), self._begun_undos(step_id)
            if step is not None and step.status in ("success", "point") and undos:
                yield UndoneStep(step, undos[0], undos[0].undo_beginning[:2])

    def _begun_undos(self, step: str) -> list[Span]:
        return [self._spans[one] for one in self._steps.undos_in_order(step) if self._spans[one].has_begun]

    def _after_abort(self) -> Iterator[Anomaly]:
        """Find steps that began after the rollback of their part of the trace: a failed span, or one attempt."""
        windows = self._windows()
        if not windows:
            return
        began = min(self._tree.began(one)[0] for one in self._index.begun)
        known: dict[str, _Windows] = {}

        def pass_on(above: str, have: _Windows) -> _Windows:
            return _joined(have, windows[above]) if above in windows else have

        late = set[str]()
        for span_id, span in self._spans.items():
            # Skip spans whose last event is earlier, which are most.
            if span.state.opened and span.events[-1].timestamp >= began and span_id not in self._index.owner:
                at = span.started_at if "w" in span.state.marks else span.first_at  # enqueued before
                around = self._tree.inherited(span_id, known, windows.get(None, {}), pass_on).items()
                if at is not None and any(begun < at and (until is None or at < until) for until, begun in around):
                    late.add(span_id)
        tops = [one for one in late if self._tree.parent_of(one) not in late and not self._only_undoes(one)]
        if tops:
            tops.sort(key=self._tree.began)
            names = listed([self._spans[one].name for one in tops])
            yield Anomaly("step_after_abort", tuple(tops), f"started after compensation had begun: {names}")

    def _only_undoes(self, span_id: str) -> bool:
        """Return whether a span, such as a job, only runs compensations."""
        if span_id in self._index.declared or span_id in self._index.undos_of:
            return False
        children, owner = self._tree.children, self._index.owner
        leaves = [one for one in self._tree.below(span_id) if one not in children and self._spans[one].kind != "point"]
        return bool(leaves) and all(one in owner for one in leaves)

    def _windows(self) -> dict[str | None, _Windows]:
        """Return per part of the trace the start of its rollback and of its next try. None is the whole trace."""
        windows: dict[str | None, _Windows] = {}
        known: dict[str, str | None] = {}

        def pass_on(above: str, top: str | None) -> str | None:
            is_part = above in self._index.failed or self._spans[above].was_retried
            return above if is_part and above not in self._index.owner else top

        for undo_id in self._index.begun:
            top = self._tree.inherited(undo_id, known, None, pass_on)
            began = self._spans[undo_id].began_at
            until = self._spans[top].attempt_at(began)[1] if top is not None else None
            windows[top] = _joined(windows.get(top, {}), {until: began})
        return windows


def _twice(undos: list[Span]) -> list[str]:
    """Return the successful compensations and those that began after one succeeded; none if fewer than two."""
    done = [undo for undo in undos if undo.status == "success"]
    if not done:
        return []
    first = min(undo.over_at for undo in done)
    again = [undo.span_id for undo in undos if undo.status == "success" or undo.first_at > first]
    return again if len(again) > 1 else []


def _joined(have: _Windows, more: _Windows) -> _Windows:
    """Return the windows of both. Of windows with the same end, keep the one that began first."""
    return have | {until: min(began, have.get(until, began)) for until, began in more.items()}
