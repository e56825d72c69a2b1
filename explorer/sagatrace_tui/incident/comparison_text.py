"""Render a comparison of two traces as text, for the screen and `sagatrace diff`, and as one JSON object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from sagatrace_tui.incident.differences import Comparison, Difference, Kind, Run, Side, Undone
from sagatrace_tui.model import Outcome
from sagatrace_tui.model.text import iso, listed, one_line

__all__ = ["Words", "comparison_report"]

_MAX_NAME: Final = 120
_MAX_ERROR: Final = 300
_SAGAS: Final = ("workflow", "saga")
_UNDONE: Final[Mapping[Outcome, str]] = {
    "compensated": "undone",
    "failed": "undo failed",
    "running": "undo running",
    "unconfirmed": "undo unconfirmed",
    "not_started": "undo never started",
}


class Words(msgspec.Struct, frozen=True):
    """Renders a comparison in words.

    `inert` makes a value from a job safe to show. `length` formats microseconds.
    """

    inert: Callable[[str], str]
    length: Callable[[int | None], str]

    def step(self, difference: Difference, *, with_parent: bool = True) -> str:
        """Return the name of the step with its parent, its number, the count of siblings, and the steps below."""
        # The root and its saga are the same for all steps.
        parents = difference.above[1:][-1:] if with_parent else ()
        above = [one for one in parents if one.partition(":")[0] not in _SAGAS]
        text = " → ".join(self._name(name) for name in (*above, difference.name))
        if difference.nth > 1 and difference.count == 1:
            text += f" (number {difference.nth})"
        if difference.count > 1:
            text += f" ×{difference.count:,}"
        return f"{text} +{difference.below:,} below" if difference.below else text

    def sides(self, difference: Difference) -> tuple[str, str]:
        """Return the values in the other trace and in this trace."""
        here, there = difference.here, difference.there
        there_text, here_text = (self._value(difference.kind, side) for side in (there, here))
        ratio = difference.ratio
        if difference.kind is Kind.SLOWER and ratio is not None:
            here_text += f" ×{ratio:,.3g}" if ratio < 1000 else f" ×{ratio:,.0f}"
        return there_text, here_text

    def notes(self, comparison: Comparison) -> Iterator[tuple[str, str]]:
        """Yield (title, text) for the steps undone or left standing, and for the steps that would have run next."""
        for title, undone in (("here", comparison.undone_here), ("there", comparison.undone_there)):
            for outcome, names in self._by_outcome(undone):
                yield f"{_UNDONE[outcome]} {title}", names
        if comparison.would_run_next:
            yield "would have run next", listed([self.step(one) for one in comparison.would_run_next])

    def _by_outcome(self, undone: Sequence[Undone]) -> Iterator[tuple[Outcome, str]]:
        for outcome in _UNDONE:
            names = [self._name(one.name) for one in undone if one.outcome == outcome]
            if names:
                yield outcome, listed(names)

    def _value(self, kind: Kind, side: Side | None) -> str:
        if side is None:
            return "—"
        if kind is Kind.ATTEMPTS:
            return f"{side.attempts} attempt{'' if side.attempts == 1 else 's'}"
        if kind in (Kind.SLOWER, Kind.FASTER):
            return self.length(side.took)
        if kind is Kind.ERROR:
            return self._error(side) or "no error text"
        return self._outcome(side)

    def _outcome(self, side: Side) -> str:
        if not side.attempts and side.status == "queued":
            return "never started"
        if side.status == "point":
            return "recorded"
        took = "" if side.took is None else f" {'in' if side.status == 'success' else 'after'} {self.length(side.took)}"
        error = self._error(side)
        return f"{side.status}{took}{f': {error}' if error else ''}"

    def _error(self, side: Side) -> str:
        parts = one_line(side.error_type or "", _MAX_NAME), one_line(side.error or "", _MAX_ERROR)
        return self.inert(": ".join(filter(None, parts)))

    def _name(self, name: str) -> str:
        return self.inert(one_line(name, _MAX_NAME))


def comparison_report(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON object with stable keys. Durations are milliseconds, times ISO 8601."""
    return {
        "here": _run(comparison.here),
        "there": _run(comparison.there),
        "differences": [_difference(one) for one in comparison.differences],
        "undone_here": [asdict(one) for one in comparison.undone_here],
        "undone_there": [asdict(one) for one in comparison.undone_there],
        "would_run_next": [
            {"name": one.name, "above": list(one.above), "nth": one.nth, "count": one.count, "span_id": side.span_id}
            for one in comparison.would_run_next
            if (side := one.there) is not None
        ],
        "steps_in_both": comparison.in_both,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "trace_id": run.trace_id,
        "name": run.name,
        "verdict": run.verdict,
        "started_at": iso(run.started_at),
        "duration_ms": _milliseconds(run.duration),
        "span_count": run.span_count,
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "name": one.name,
        "above": list(one.above),
        "nth": one.nth,
        "count": one.count,
        "below": one.below,
        "ratio": None if one.ratio is None else round(one.ratio, 3),
        "here": _side(one.here),
        "there": _side(one.there),
    }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    values = asdict(side)
    return {**{key: value for key, value in values.items() if key != "took"}, "duration_ms": _milliseconds(side.took)}


def _milliseconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1000
