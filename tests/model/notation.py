"""Sagas as indented text, one span a line, and their answers in a short notation.

    loan          0..9 failed !Refused:no money
      credit      1..2 +release
      funding     3..4 failed !NoFunds:empty
      u1          5..6 ~credit

A line is a span id and tokens; indentation gives the parent. Times are seconds.

    1..2          started and ended; `1..` never ended; `..2` only its end is known; `@1` an instant
    1..2:retry    an attempt that is followed by another
    q1  d1        enqueued, deferred
    failed        how it ended: ok (the default), failed, stopped, canceled, abandoned
    !Type:text    error_type and error; `!text` only the error
    +name         declares its compensation
    ~step         undoes that span: compensating, compensated, compensation_failed
    job           an RQ job: `job:started` and so on, named by `job_name`; with ~step, a job that undoes
    workflow      a workflow below another span; likewise `saga`. A span at the top is a workflow in any case
    exec=x        opened in the RQ execution x; for a job, its attempts are the executions x,y: ids `x:start`, `x:end`
    named=x       its name, if it is not its id
    seq=3/4       `seq` of its first and of its last event
    needs=x,y     the spans it depends on
    presumed      its end is presumed
    under=x       its parent, instead of indentation
    unwind=5..6   reports its own compensation under its own id; `unwind=5..6!` that failed (`!TimeoutError`: its type),
                  `unwind=5..` that began

A second line with the id of a job is a second run of the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sagatrace.event import TraceEvent, new_event
from sagatrace_tui.model import IDLE, Trace, build_trace
from sagatrace_tui.model.standing import reason_of

__all__ = ["INCIDENT", "LATER", "START", "Saga", "answers", "event", "events_of", "moment", "read"]

START: Final = 1_735_689_600_000_000  # 2025-01-01T00:00:00Z
LATER: Final = 2 * START
INCIDENT: Final = """
    loan      0..9 failed !Refused:balance too low
      credit  1..2 +release_credit
      funds   3..4 +return_funds
      pay     5..6 failed job !Closed:account closed
      u2      7..7.5 ~funds
      u1      8..8.5 failed ~credit !bureau down
    """
_SPELL: Final = re.compile(r"(?P<start>[\d.]*?)\.\.(?P<end>[\d.]*)(?P<retry>:retry)?")
_OUTCOMES: Final = ("ok", "failed", "stopped", "canceled", "abandoned")
_ENDS: Final = {"ok": "completed"}
_UNDO_ENDS: Final = {"ok": "compensated", "failed": "compensation_failed"}


@dataclass
class _Line:
    span_id: str
    parent: str | None
    spells: list[tuple[float | None, float | None, bool]] = field(default_factory=list)
    waits: list[tuple[str, float]] = field(default_factory=list)
    instant: float | None = None
    outcome: str = "ok"
    error: str | None = None
    error_type: str | None = None
    declares: str | None = None
    undoes: str | None = None
    job: bool = False
    kind: str = ""
    executions: tuple[str, ...] = ()
    name: str = ""
    seqs: tuple[int | None, int | None] = (None, None)
    needs: tuple[str, ...] = ()
    presumed: bool = False
    unwind: str = ""


@dataclass(frozen=True)
class Saga:
    """One row of a table: a saga and all answers."""

    title: str
    text: str
    verdict: str
    path: str = ""
    roles: str = ""
    compensations: str = ""
    standing: str = ""
    anomalies: str = ""
    never_ran: str = ""
    summary: str = ""
    idle: bool = False


def read(saga: Saga) -> Trace:
    """Return the trace of the row's events, one second after the last event or long after it."""
    events = events_of(saga.text)
    last = max(event.micros for event in events) if events else START
    return build_trace("T", events, now=last + (2 * IDLE if saga.idle else 1_000_000))


def answers(trace: Trace) -> dict[str, str]:
    """Return all answers, in the notation of the table."""
    roles = ((one, trace.roles[one]) for one in sorted(trace.roles))
    undos = ((row.original_span_id, row.span_id or "-", row.outcome) for row in trace.compensations)
    return {
        "verdict": trace.verdict,
        "path": " ".join(trace.failure_path),
        "roles": " ".join(f"{one}:{role}" for one, role in roles),
        "compensations": " ".join(f"{step}<{undo}:{outcome}" for step, undo, outcome in undos),
        "standing": "; ".join(
            f"{one.span_id}{'' if one.certain else '?'}: {reason_of(one, ended=trace.ended)}"
            for one in trace.still_standing
        ),
        "anomalies": " ".join(f"{one.kind}({' '.join(one.span_ids)})" for one in trace.anomalies),
        "never_ran": " ".join(f"{one.span_id}<{one.dependency_id}" for one in trace.never_ran),
    }


def moment(seconds: float) -> str:
    """Return a time of the notation as a timestamp."""
    return f"2025-01-01T00:{int(seconds) // 60:02}:{seconds % 60:09.6f}Z"


def event(second: float, span_id: str, event_type: str, parent: str | None = None, **fields: Any) -> TraceEvent:
    """Return an event of the trace `T`, so many seconds after its start."""
    return new_event(
        trace_id="T",
        span_id=span_id,
        event_type=event_type,
        parent_span_id=parent,
        timestamp=moment(second),
        **fields,
    )


def events_of(text: str) -> list[TraceEvent]:
    """Return the events of a saga in the notation."""
    events: list[TraceEvent] = []
    above: list[tuple[int, str]] = []
    for raw in text.splitlines():
        if raw.strip():
            indent = len(raw) - len(raw.lstrip())
            while above and above[-1][0] >= indent:
                above.pop()
            line = _parse(raw.split(), above[-1][1] if above else None)
            above.append((indent, line.span_id))
            events.extend(_events(line))
    return events


def _parse(words: list[str], parent: str | None) -> _Line:
    line = _Line(words[0], parent, name=words[0])
    rest = iter(words[1:])
    for word in rest:
        if word.startswith("!"):  # an error runs to the end of the line
            text = " ".join([word[1:], *rest])
            kind, colon, error = text.partition(":")
            line.error_type, line.error = (kind, error) if colon else (None, text)
        else:
            _take(line, word)
    return line


def _take(line: _Line, word: str) -> None:
    key, _, value = word.partition("=")
    if match := _SPELL.fullmatch(word):
        start, end = match["start"], match["end"]
        line.spells.append((float(start) if start else None, float(end) if end else None, bool(match["retry"])))
    elif re.fullmatch(r"[qd][\d.]+", word):
        line.waits.append(("enqueued" if word[0] == "q" else "deferred", float(word[1:])))
    elif word.startswith("@"):
        line.instant = float(word[1:])
    elif word.startswith("+"):
        line.declares = word[1:]
    elif word.startswith("~"):
        line.undoes = word[1:]
    elif word in _OUTCOMES:
        line.outcome = word
    elif word in ("job", "presumed"):
        setattr(line, word, True)
    elif word in ("workflow", "saga"):
        line.kind = word
    elif key == "exec":
        line.executions = tuple(value.split(","))
    elif key == "needs":
        line.needs = tuple(value.split(","))
    elif key == "seq":
        first, _, last = value.partition("/")
        line.seqs = (int(first) if first else None, int(last) if last else None)
    elif key == "under":
        line.parent = value
    elif key == "named":
        line.name = value
    elif key == "unwind":
        line.unwind = value
    else:
        raise ValueError(f"{word!r} is not a token of the notation")


def _events(line: _Line) -> Iterable[TraceEvent]:
    if line.instant is not None:
        data = {"compensation": line.declares, "original_span_id": line.undoes}
        yield _event(line, line.instant, f"ai:{line.name}", data)
        return
    opening: dict[str, Any] = {
        "compensation": line.declares,
        "original_span_id": line.undoes,
        "seq": line.seqs[0],
        "execution": line.executions[0] if line.executions and not line.job else None,
        "job_name": line.name if line.job else None,
        "depends_on": list(line.needs) or None,
    }
    for phase, at in line.waits:
        yield _event(line, at, f"{_base(line)}:{phase}", opening)
    for number, (start, end, retry) in enumerate(line.spells, start=1):
        attempt = number if line.job else None
        execution = line.executions[number - 1] if line.job and number <= len(line.executions) else None
        if start is not None:
            phase = "compensating" if _is_undo(line) else "started"
            event_id = f"{execution}:start" if execution else None
            yield _event(line, start, f"{_base(line)}:{phase}", {**opening, "attempt": attempt}, event_id)
        if end is not None:
            # If only the end of a span is known, the end carries the data of its start.
            data = {**(opening if start is None else {}), "seq": line.seqs[1], "attempt": attempt}
            data |= _fault(line, retry=retry)
            event_id = f"{execution}:end" if execution else None
            yield _event(line, end, f"{_base(line)}:{_phase(line, retry=retry)}", data, event_id)
    yield from _unwinding(line)


def _unwinding(line: _Line) -> Iterable[TraceEvent]:
    begun, _, over = line.unwind.partition("..")
    if begun:
        yield _event(line, float(begun), f"{_base(line)}:compensating", {})
    if over:
        at, failed, kind = over.partition("!")
        phase, data = ("compensation_failed", {"error": "no"}) if failed else ("compensated", {})
        yield _event(line, float(at), f"{_base(line)}:{phase}", {**data, **({"error_type": kind} if kind else {})})


def _base(line: _Line) -> str:
    if line.job:
        return "job"
    if _is_undo(line):
        return line.name
    return f"{line.kind or ('stage' if line.parent else 'workflow')}:{line.name}"


def _is_undo(line: _Line) -> bool:
    return line.undoes is not None and not line.job


def _phase(line: _Line, *, retry: bool) -> str:
    if retry:
        return "retrying"
    return (_UNDO_ENDS if _is_undo(line) else _ENDS).get(line.outcome, line.outcome)


def _fault(line: _Line, *, retry: bool) -> dict[str, Any]:
    if line.outcome == "ok" and not retry:
        return {}
    return {"error": line.error, "error_type": line.error_type, "presumed": line.presumed or None}


def _event(line: _Line, at: float, event_type: str, data: dict[str, Any], event_id: str | None = None) -> TraceEvent:
    return new_event(
        id=event_id or f"{line.span_id}.{event_type.rpartition(':')[2]}.{at}",
        trace_id="T",
        span_id=line.span_id,
        parent_span_id=line.parent,
        event_type=event_type,
        timestamp=moment(at),
        data={key: value for key, value in data.items() if value is not None},
    )
