"""The compensation view as rows: what still stands first and loud, then the compensations in order. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.labels import at_times, duration, inert, short, short_name
from sagatrace_tui.model import Compensation, Outcome, Standing, Trace
from sagatrace_tui.model.standing import reason_of
from sagatrace_tui.widgets.rows import Part, fitted

__all__ = ["LedgerLine", "ledger_lines"]

_OUTCOMES: Final[dict[Outcome, tuple[str, str, str]]] = {
    "compensated": ("✔", "undone", "ok"),
    "failed": ("✘", "undo failed", "bad"),
    "running": ("▶", "undoing", "busy"),
    "unconfirmed": ("?", "unconfirmed", "warn"),
    "not_started": ("◌", "not started", "warn"),
}
_ORDER_FAULTS: Final = frozenset({"out_of_order_undo", "double_undo", "empty_undo", "hanging_undo", "step_after_abort"})


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A row: `cells` are aligned in columns, `tail` takes what is left. Without cells it is a heading or a note."""

    tail: tuple[Part, ...]
    cells: tuple[tuple[Part, int], ...] = ()
    span_id: str | None = None

    def fitted(self, width: int) -> list[Part]:
        """The line for that many columns: the step and its undo share what the rest leaves."""
        if not self.cells:
            return list(self.tail)
        fixed = sum(columns for _, columns in self.cells if columns)
        room = max(8, min(40, (width - fixed) // 2))
        parts: list[Part] = []
        for (text, tone), columns in self.cells:
            cell = short_name(text, room) if not columns else text
            parts += fitted([(short(cell, (columns or room) - 1), tone)], columns or room)
        return [*parts, *self.tail]


def ledger_lines(trace: Trace) -> list[LedgerLine]:
    """Every line of the compensation view."""
    rows, standing = trace.compensations, trace.still_standing
    if not rows and not standing:
        return [LedgerLine(((_nothing(trace), "muted"),))]
    return [*_standing(trace), *_compensations(trace), *_faults(trace)]


def _nothing(trace: Trace) -> str:
    declared = sum(span.compensation is not None for span in trace.spans.values())
    if not declared:
        return "No step of this trace declared a compensation, and nothing was undone."
    steps = "1 step declares a compensation" if declared == 1 else f"{declared} steps declare a compensation"
    return f"Nothing was undone, and nothing has to be: {steps}."


def _heading(text: str, tone: str = "strong") -> LedgerLine:
    return LedgerLine(((text, tone),))


def _standing(trace: Trace) -> Iterator[LedgerLine]:
    standing = trace.still_standing
    if not standing:
        if trace.verdict == "rolled_back":
            yield _heading("Nothing is still standing: every step was undone", "ok")
            yield LedgerLine(())
        return
    loud = [one for one in standing if not one.being_undone]
    if loud:
        so_far = " so far" if trace.status == "running" else ""
        yield _heading(f"⚠ STILL STANDING  {len(loud)}{so_far}", "cause")
        yield from (_stands(one, trace, "■", "cause", "warn") for one in loud)
        yield LedgerLine(())
    if undoing := [one for one in standing if one.being_undone]:
        yield _heading(f"▶ Being undone  {len(undoing)}", "busy")
        yield from (_stands(one, trace, "▶", "busy", "muted") for one in undoing)
        yield LedgerLine(())


def _stands(one: Standing, trace: Trace, sign: str, tone: str, why_tone: str) -> LedgerLine:
    unsure = "" if one.explained else "  (its own outcome is unknown: it may have taken effect)"
    cells = (((sign, tone), 2), ((inert(one.name, 120), tone), 0))
    return LedgerLine(((f"{inert(reason_of(one, ended=trace.ended), 400)}{unsure}", why_tone),), cells, one.span_id)


def _compensations(trace: Trace) -> Iterator[LedgerLine]:
    rows = trace.compensations
    if not rows:
        return
    yield _heading(f"Compensation order  {len(rows)}")
    origin = trace.started_at or 0
    wrong = {one for anomaly in trace.anomalies if anomaly.kind == "out_of_order_undo" for one in anomaly.span_ids}
    number = 0
    for row in rows:
        number += row.span_id is not None
        step = trace.spans.get(row.original_span_id)
        yield _row(row, number, row.span_id in wrong, step.compensation if step is not None else None)
        yield LedgerLine((("     ", "guide"), (_facts(row, origin), "muted")))
        if row.error or row.reason:
            why = row.error or row.reason or ""
            yield LedgerLine((("     ", "guide"), (inert(why, 300), "bad" if row.error else "muted")))
    yield LedgerLine(())


def _row(row: Compensation, number: int, out_of_order: bool, declared: str | None) -> LedgerLine:
    sign, word, tone = _OUTCOMES[row.outcome]
    place = f"{number}{'↕' if out_of_order else '.'}" if row.span_id is not None else "–"
    named = row.name or "" if row.span_id is not None else declared
    undo = "← no undo" if named is None else f"← {inert(named, 120)}"
    cells = (
        ((place, "warn" if out_of_order else "muted"), 4),
        ((f"{sign} {word}", tone), 16),
        ((inert(row.original_name, 120), "plain"), 0),
        ((undo, "muted" if row.span_id is None else "plain"), 0),
    )
    return LedgerLine((), cells, row.span_id or row.original_span_id)


def _facts(row: Compensation, origin: int) -> str:
    moments = [at for at in (row.completed_at, row.started_at) if at is not None]
    times = dict(zip(moments, at_times(moments, origin), strict=True))
    facts = [f"done {times[row.completed_at]}" if row.completed_at is not None else "did not complete"]
    if row.started_at is not None:
        took = f" for {duration(max(0, row.ended_at - row.started_at))}" if row.ended_at is not None else ""
        facts.append(f"undo at {times[row.started_at]}{took}")
    if row.attempts > 1:
        facts.append(f"×{row.attempts} attempts")
    if row.place is not None and row.place.worker:
        facts.append(f"on {inert(row.place.worker, 80)}")
    return " · ".join(facts)


def _faults(trace: Trace) -> Iterator[LedgerLine]:
    faults = [one for one in trace.anomalies if one.kind in _ORDER_FAULTS or one.kind == "green_but_compensated"]
    if not faults:
        return
    yield _heading(f"⚠ Anomalies  {len(faults)}", "warn")
    for fault in faults:
        span_id = fault.span_ids[0] if fault.span_ids else None
        text = f"{fault.kind.replace('_', ' ')}: {inert(fault.detail, 400)}"
        yield LedgerLine((("  ", "guide"), (text, "warn")), (), span_id)
