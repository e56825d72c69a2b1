"""Random sagas by code that records the truth, compared with the answers of the model."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from notation import START, moment

from sagatrace.event import TraceEvent, new_event
from sagatrace_tui.model import IDLE, build_trace
from scale import examples


class StepFailedError(Exception):
    """The exception of a failing step."""


class Play:
    """Plays one saga: steps, some with retried jobs, nested sagas, and the compensation after a failure.

    It also keeps the right answers. `standing` are the steps that would have to be undone.
    """

    def __init__(self, seed: int) -> None:
        self.events: list[TraceEvent] = []
        self.path: list[str] = []
        self.roles: dict[str, str] = {}
        self.standing: set[str] = set()
        self.undos: list[tuple[str, str, str]] = []
        self._random, self._seconds, self._count = random.Random(seed), 0.0, 0
        try:
            self._saga(None, depth=0)
            self.failed = False
        except StepFailedError:
            self.failed = True

    @property
    def verdict(self) -> str:
        """Return the true verdict."""
        if not self.failed:
            return "succeeded"
        if self.standing:
            return "rollback_incomplete" if self.undos else "rollback_missing"
        return "rolled_back" if self.undos else "failed"

    def _emit(self, span_id: str, parent: str | None, event_type: str, **data: object) -> None:
        self._seconds += self._random.choice([0.001, 0.1, 1, 3])
        error = {"error": span_id} if "failed" in event_type else {}
        self.events.append(
            new_event(
                id=f"{len(self.events):04}",
                trace_id="T",
                span_id=span_id,
                parent_span_id=parent,
                event_type=event_type,
                timestamp=moment(self._seconds),
                data={key: value for key, value in {**error, **data}.items() if value is not None},
            )
        )

    def _new(self, letter: str, likely: float) -> tuple[str, str | None]:
        """Return a span's id, and its compensation if any."""
        self._count += 1
        span_id = f"{letter}{self._count}"
        return span_id, f"undo_{span_id}" if self._random.random() < likely else None

    def _saga(self, parent: str | None, depth: int) -> tuple[list[tuple[str, list[str]]], int]:
        """Return the steps to undo, each with its descendants, and the number of steps without a compensation."""
        span_id, undo = self._new("s", 0.5 if parent else 0)
        self._emit(span_id, parent, f"saga:{span_id}:started", compensation=undo)
        done: list[tuple[str, list[str]]] = []
        loose = 0
        try:
            for _ in range(self._random.randint(1, 4)):
                is_saga = depth < 2 and self._random.random() < 0.25
                steps, more = self._saga(span_id, depth + 1) if is_saga else self._step(span_id)
                done += steps
                loose += more
        except StepFailedError as failure:
            self._unwind(span_id, done)
            loose += failure.args[0]
            if undo and loose:  # only its own undo would undo that
                self.standing.add(span_id)
            self._emit(span_id, parent, f"saga:{span_id}:failed")
            self.roles[span_id] = "consequence"
            self.path.insert(0, span_id)
            raise StepFailedError(0 if undo else loose) from failure
        self._emit(span_id, parent, f"saga:{span_id}:completed")
        if undo is None:
            return done, loose
        self.standing.add(span_id)
        return [(span_id, [one for step, below in done for one in (step, *below)])], 0

    def _step(self, parent: str) -> tuple[list[tuple[str, list[str]]], int]:
        span_id, undo = self._new("t", 0.6)
        fails, jobs = self._random.random() < 0.18, self._random.choice([0, 0, 1, 2])
        self._emit(span_id, parent, f"stage:{span_id}:started", compensation=undo)
        if fails:
            self.roles[span_id], self.path = "cause", [span_id]
            if jobs:
                job = self._job(span_id, fails="cause")
                self.roles[span_id], self.path = "consequence", [span_id, job]
            self._emit(span_id, parent, f"stage:{span_id}:failed")
            raise StepFailedError(0)
        for _ in range(jobs):
            self._job(span_id)
        self._emit(span_id, parent, f"stage:{span_id}:completed")
        if undo is None:
            return [], 1
        self.standing.add(span_id)
        return [(span_id, [])], 0

    def _job(self, parent: str, fails: str = "") -> str:
        """Play a job that RQ tries up to three times. `fails` is its role if the last attempt fails."""
        span_id, _ = self._new("j", 0)
        attempts = self._random.choice([1, 1, 2, 3])
        self._emit(span_id, parent, "job:enqueued", job_name=f"do_{parent}")
        for attempt in range(1, attempts + 1):
            self._emit(span_id, parent, "job:started", attempt=attempt)
            end = "retrying" if attempt < attempts else "failed" if fails else "completed"
            self._emit(span_id, parent, f"job:{end}", attempt=attempt)
        if fails or attempts > 1:
            self.roles[span_id] = fails or "recovered"
        return span_id

    def _unwind(self, parent: str, done: list[tuple[str, list[str]]]) -> None:
        """Undo the completed steps in reverse order: none, all, or up to the first failed undo."""
        how = self._random.choice(["not", "all", "all", "all", "up to the first that fails"])
        for step, below in reversed(done if how != "not" else []):
            span_id, _ = self._new("u", 0)
            fails = self._random.random() < 0.2
            self._emit(span_id, parent, f"undo_{step}:compensating", original_span_id=step)
            if self._random.random() < 0.4:
                self._job(span_id, fails="compensation" if fails else "")
            end = "compensation_failed" if fails else "compensated"
            self._emit(span_id, parent, f"undo_{step}:{end}")
            self.undos.append((step, span_id, "failed" if fails else "compensated"))
            if fails:
                self.roles[span_id] = "compensation"
            else:
                self.standing.difference_update([step, *below])
            if fails and how != "all":
                return


@settings(max_examples=examples(300, heavy=1000), deadline=None)
@given(seed=st.integers(0, 2**63))
def test_the_answers_are_the_truth_about_the_saga(seed: int) -> None:
    play = Play(seed)
    events = random.Random(seed).sample(play.events, len(play.events))
    trace = build_trace("T", events, now=START + 10 * IDLE)
    assert (trace.verdict, trace.failure_path) == (play.verdict, tuple(play.path))
    assert trace.roles == play.roles
    assert {one.span_id for one in trace.still_standing} == (play.standing if play.failed else set())
    assert [
        (row.original_span_id, row.span_id, row.outcome) for row in trace.compensations if row.span_id
    ] == play.undos
    assert trace.anomalies == ()


@settings(max_examples=examples(50, heavy=200), deadline=None)
@given(seed=st.integers(0, 2**63))
def test_a_saga_under_way_runs_or_compensates(seed: int) -> None:
    """Before its last event it has no anomaly, and its cause never changes."""
    play = Play(seed)
    phases: set[str] = set()
    failed_yet = False
    for count, event in enumerate(play.events[:-1], start=1):
        trace = build_trace("T", play.events[:count], now=event.micros)
        phases.add(event.event_type.rpartition(":")[2])
        failed_yet = failed_yet or (event.span_id in play.path[-1:] and event.event_type.endswith(":failed"))
        assert trace.verdict == ("compensating" if "compensating" in phases else "running")
        assert trace.anomalies == ()
        assert (trace.cause and trace.cause.span_id) == (play.path[-1] if failed_yet else None)
    trace = build_trace("T", play.events, now=play.events[-1].micros)
    assert (trace.verdict, trace.anomalies) == (play.verdict, ())


def test_the_plays_are_of_every_kind() -> None:
    plays = list(map(Play, range(300)))
    verdicts = {"succeeded", "failed", "rolled_back", "rollback_incomplete", "rollback_missing"}
    assert {play.verdict for play in plays} == verdicts
    roles = {role for play in plays for role in play.roles.values()}
    assert roles == {"cause", "consequence", "recovered", "compensation"}
