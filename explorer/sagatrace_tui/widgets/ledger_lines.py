"""The compensation view as rows: first the steps that still stand, then the compensations in order. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace
from rich.cells import cell_len

from sagatrace_tui.incident.standing_facts import standing_facts
from sagatrace_tui.labels import duration, inert, short, short_middle, short_name, standing_tone
from sagatrace_tui.model import Compensation, Outcome, Standing, Trace
from sagatrace_tui.model.standing import reason_of
from sagatrace_tui.times import Times
from sagatrace_tui.views.undeclared import undeclared_steps
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


_TIMES: Final = Times()
_INDENT: Final = "     "
_MOST: Final = 20  # steps without a declared undo that are listed
_TAIL: Final = 46
"""Columns kept free beside the names for the reason. A longer reason goes below."""

_VALUE: Final = 200  # characters of a key and its value
_NAME: Final = 14
"""Columns that each of the two names needs beside a reason. Otherwise the reason goes below."""


class LedgerLine(msgspec.Struct, frozen=True):
    """A row. `cells` are aligned in columns, `tail` takes the rest. A row without cells is a heading or a note."""

    tail: tuple[Part, ...]
    cells: tuple[tuple[Part, int], ...] = ()
    span_id: str | None = None
    longest: tuple[int, int] = (38, 38)
    """Columns of the longest step, and of the longest undo."""

    def fitted(self, width: int) -> list[Part]:
        """Return the line in at most `width` columns.

        The step and its undo share the free columns. Parts of the tail after the first are left out if they do not fit.
        """
        if not self.cells:
            return list(self.tail)
        tail = min(_TAIL, cell_len(self.tail[0][0])) if self.tail else 0
        names = [one + 2 for one in self.longest[: sum(not columns for _, columns in self.cells)]]
        free = width - tail - sum(columns for _, columns in self.cells)
        rooms = iter([max(8, min(40, one, max(free // len(names), free - sum(names) + one))) for one in names])
        parts: list[Part] = []
        for (text, tone), columns in self.cells:
            room = columns or next(rooms)
            arrow, name = text[: 2 * text.startswith("← ")], text.removeprefix("← ")
            space = room - 2 - len(arrow)
            cell = text if columns else arrow + short_middle(short_name(name, space), space)
            parts += fitted([(short(cell, room - 1), tone)], room)
        left = width - sum(cell_len(text) for text, _ in parts)
        for number, (text, tone) in enumerate(self.tail):
            left -= cell_len(text)
            if number and left < 0:
                break
            parts.append((text, tone))
        return parts


def ledger_lines(trace: Trace, width: int = 100, times: Times = _TIMES) -> list[LedgerLine]:
    """Return the lines of the compensation view. Errors and reasons wrap at `width` columns and are never cut."""
    rows, standing = trace.compensations, trace.still_standing
    if not rows and not standing:
        return list(_note(_nothing(trace), "muted", width, ""))
    lines = [*_standing(trace, width, times), *_compensations(trace, width, times)]
    lines += [*_undeclared(trace), *_faults(trace, width)]
    named = [[text for (text, _), columns in line.cells if not columns] for line in lines]
    step, undo = (max((cell_len(names[at]) for names in named if len(names) > at), default=0) for at in (0, 1))
    return [replace(line, longest=(step, undo)) for line in lines]


def _nothing(trace: Trace) -> str:
    declared = sum(span.compensation is not None for span in trace.spans.values())
    if not declared:
        none = "No step of this trace" if trace.ended else "So far no step"
        return f"{none} declared a compensation, and nothing was undone."
    steps = "1 step declares a compensation" if declared == 1 else f"{declared} steps declare a compensation"
    so_far = "" if trace.ended else " so far"
    return f"Nothing was undone{so_far}: {steps}, and no step has to be undone."


def _heading(text: str, tone: str = "strong") -> LedgerLine:
    return LedgerLine(((text, tone),))


def _standing(trace: Trace, width: int, times: Times) -> Iterator[LedgerLine]:
    standing = trace.still_standing
    if not standing:
        if trace.verdict == "rolled_back":
            yield _heading("Nothing is still standing: every step that declares an undo was undone", "ok")
            yield LedgerLine(())
        return
    undoing = [one for one in standing if one.being_undone]
    awaited = [one for one in standing if one.awaited]
    loud = [one for one in standing if not one.being_undone and not one.awaited]
    so_far = " so far" if trace.status == "running" else ""
    kinds = (
        (f"⚠ STILL STANDING  {len(loud)}{so_far}", loud, "■", standing_tone(trace), "warn"),
        (f"▶ Being undone  {len(undoing)}", undoing, "▶", "busy", "muted"),
        (f"↺ Waits to be undone  {len(awaited)}", awaited, "↺", "muted", "muted"),
    )
    failures = {row.original_span_id: failure for row in trace.compensations if (failure := _failure_of(row))}
    facts = zip(standing, standing_facts(trace), strict=True)
    values = {
        one.span_id: " · ".join(inert(f"{key}={value}", _VALUE) for key, value in known.data.items())
        for one, known in facts
    }
    for title, steps, sign, tone, why_tone in kinds:
        if steps:
            yield _heading(title, tone)
            for one in steps:
                effect = None if one.effect is None else times.in_text(one.effect)
                one_here = replace(one, effect=effect)
                yield from _stands(one_here, trace, (sign, tone), why_tone, failures.get(one.span_id), width)
                if values[one.span_id]:
                    yield from _note(values[one.span_id], "plain", width)
            yield LedgerLine(())


def _stands(
    one: Standing, trace: Trace, sign: Part, why_tone: str, failure: str | None, width: int
) -> Iterator[LedgerLine]:
    """Yield a step and the reason why it stands. Further lines show the error of its undo and its effect."""
    step = trace.spans.get(one.span_id)
    named = step.compensation if step is not None else None
    undo = (f"← {inert(named, 120)}" if named else "", "muted")
    cells = ((sign, 2), ((inert(_name(trace, one.span_id, one.name), 120), sign[1]), 0), (undo, 0))
    reason = inert(reason_of(replace(one, effect=None), ended=trace.ended), 400)
    beside = cell_len(reason) <= min(_TAIL, width - 2 - 2 * _NAME)
    yield LedgerLine(((reason, why_tone),) if beside and not one.awaited else (), cells, one.span_id)
    if not beside:
        yield from _note(reason, why_tone, width)
    if failure is not None:
        yield from _note(f"error of the undo: {failure}", "bad", width)
    if one.effect is not None:
        yield from _note(inert(one.effect, 1000), why_tone, width)
    elif not one.explained:
        yield from _note("the outcome of the step is unknown: it may have taken effect", why_tone, width)


def _failure_of(row: Compensation) -> str:
    kind = f"{inert(row.error_type, 100)}: " if row.error_type and row.error else inert(row.error_type or "", 100)
    return "" if row.outcome == "compensated" else f"{kind}{inert(row.error or '', 1000)}"


def _note(text: str, tone: str, width: int, indent: str = _INDENT) -> Iterator[LedgerLine]:
    """Yield the lines of a text below a step, broken between words if possible."""
    room = max(20, width - len(indent) - 1)
    line = ""
    for word in text.split(" "):
        if line and cell_len(line) + 1 + cell_len(word) > room:
            yield LedgerLine(((indent, "guide"), (line, tone)))
            line = ""
        line = f"{line} {word}" if line else word
        while cell_len(line) > room:
            start = line[: max(1, room // 2)] if not line.isascii() else line[:room]
            yield LedgerLine(((indent, "guide"), (start, tone)))
            line = line[len(start) :]
    yield LedgerLine(((indent, "guide"), (line, tone)))


def _compensations(trace: Trace, width: int, times: Times) -> Iterator[LedgerLine]:
    """Yield each attempt to undo a step, in order. Standing steps without an attempt are listed above."""
    listed = {one.span_id for one in trace.still_standing}
    rows = [row for row in trace.compensations if row.span_id is not None or row.original_span_id not in listed]
    if not rows:
        return
    begun = sum(_has_begun(row) for row in rows)
    unbegun = "Compensations that never began" if trace.ended else "Compensations that have not begun"
    yield _heading(f"Compensation order  {begun}" if begun else unbegun)
    origin = trace.started_at or 0
    wrong = {one for anomaly in trace.anomalies if anomaly.kind == "out_of_order_undo" for one in anomaly.span_ids}
    number, reason = 0, None
    widest = max(cell_len(word) for _, word, _ in map(_OUTCOMES.__getitem__, {row.outcome for row in rows}))
    for row in rows:
        number += _has_begun(row)
        if row.reason and row.reason != reason:
            reason = row.reason
            yield from _note(f"reason: {inert(reason, 1000)}", "muted", width)
        yield _row(row, trace, number, row.span_id in wrong, widest, _facts(row, origin, times))
        if (failure := _failure_of(row)) and row.original_span_id not in listed:
            yield from _note(f"error: {failure}", "bad", width)
    yield LedgerLine(())


def _undeclared(trace: Trace) -> Iterator[LedgerLine]:
    """Yield the steps that declare no undo: only the user knows whether they need one."""
    undeclared = undeclared_steps(trace)
    for title, sign, with_success in (("Completed", "✔", True), ("Outcome unknown", "?", False)):
        steps = [span for span in undeclared if (span.status == "success") == with_success]
        if not steps:
            continue
        yield _heading(f"{title}, no undo declared  {len(steps)}", "muted")
        for span in steps[:_MOST]:
            cells = (((sign, "muted"), 2), ((inert(span.short_name, 120), "muted"), 0))
            yield LedgerLine((), cells, span.span_id)
        if len(steps) > _MOST:
            yield LedgerLine(((f"  and {len(steps) - _MOST} more", "muted"),))
        yield LedgerLine(())


def _has_begun(row: Compensation) -> bool:
    return row.span_id is not None and row.outcome != "not_started"


def _row(
    row: Compensation, trace: Trace, number: int, out_of_order: bool, outcome_width: int, facts: list[str]
) -> LedgerLine:
    sign, word, tone = _OUTCOMES[row.outcome]
    step = trace.spans.get(row.original_span_id)
    numbered = f"{number}{'↕' if out_of_order else '.'}" if _has_begun(row) else "–"
    undo_name = _name(trace, row.span_id, row.name or "") if row.span_id is not None else None
    named = undo_name if undo_name is not None or step is None else step.compensation
    undo = "← no undo" if named is None else f"← {inert(named, 120)}"
    cells = (
        ((numbered, "warn" if out_of_order else "muted"), 4),
        ((f"{sign} {word}", tone), outcome_width + 4),
        ((inert(_name(trace, row.original_span_id, row.original_name), 120), "plain"), 0),
        ((undo, "muted" if row.span_id is None else "plain"), 0),
    )
    tail = tuple((f" · {fact}" if place else fact, "muted") for place, fact in enumerate(facts))
    return LedgerLine(tail, cells, row.span_id or row.original_span_id)


def _name(trace: Trace, span_id: str, name: str) -> str:
    """Return the name of a span, without the package of a job's function. `name` is for a span that is missing."""
    return trace.spans[span_id].short_name if span_id in trace.spans else name


def _facts(row: Compensation, origin: int, times: Times) -> list[str]:
    """Return the time, the attempts and the worker of a compensation, the most important first."""
    facts = []
    if row.started_at is not None:
        took = f" for {duration(max(0, row.ended_at - row.started_at))}" if row.ended_at is not None else ""
        facts.append(f"{times.in_trace([row.started_at], origin)[0]}{took}")
    if row.attempts > 1:
        facts.append(f"×{row.attempts} attempts")
    if row.place is not None and row.place.worker:
        facts.append(inert(row.place.worker, 80))
    return facts


def _faults(trace: Trace, width: int) -> Iterator[LedgerLine]:
    faults = [one for one in trace.anomalies if one.kind in _ORDER_FAULTS or one.kind == "green_but_compensated"]
    if not faults:
        return
    yield _heading(f"⚠ Anomalies  {len(faults)}", "warn")
    for fault in faults:
        span_id = fault.span_ids[0] if fault.span_ids else None
        text = f"{fault.kind.replace('_', ' ')}: {inert(fault.detail, 400)}"
        first, *rest = _note(text, "warn", width)
        yield from (replace(first, span_id=span_id), *rest)
