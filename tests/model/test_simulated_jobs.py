"""Random sagas in RQ jobs: swallowed failures, killed workers, retries and jobs that undo."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from notation import LATER, moment

from sagatrace.event import TraceEvent, new_event
from sagatrace_tui.model import Trace, build_trace
from scale import examples

STEPS = ("pay", "hold", "ship", "mail")
KILLED = "Work-horse terminated unexpectedly"


class ProcessKilledError(Exception):
    """The end of the process, which records no further event."""


class StepFailedError(Exception):
    """The failure of a step and its saga."""


@dataclass
class Attempt:
    """One attempt of the job: its workflow's span and execution, and the steps that completed in it."""

    number: int
    workflow: str
    execution: str
    done: list[str] = field(default_factory=list)


class JobPlay:
    """Plays one job with its saga, and keeps the truth beside the events.

    `standing` are the steps to be listed as standing, and `failed` is whether the last attempt's saga failed. `first`
    is the span at which the first failed attempt failed; None if every process died before its saga began.
    """

    def __init__(self, seed: int) -> None:
        self.events: list[TraceEvent] = []
        self.undone: set[str] = set()
        self.in_vain: set[str] = set()
        self.uncertain: set[str] = set()
        self.first: str | None = None
        self.kinds: set[str] = set()
        self._random, self._seconds = random.Random(seed), 0.0
        self._declared = {step for step in STEPS if self._random.random() < 0.7}
        self._kind = self._random.choice(["workflow", "saga"])
        self.attempts: list[Attempt] = []
        self.failed = self._job()

    def _chance(self, likely: float) -> bool:
        return self._random.random() < likely

    def _emit(
        self, span_id: str, parent: str | None, event_type: str, event_id: str | None = None, **data: object
    ) -> None:
        self._seconds += self._random.choice([0.2, 1, 3])
        self.events.append(
            new_event(
                id=event_id or f"{len(self.events):04}",
                trace_id="T",
                span_id=span_id,
                parent_span_id=parent,
                event_type=event_type,
                timestamp=moment(self._seconds),
                data={key: value for key, value in data.items() if value is not None},
            )
        )

    def _may_die(self) -> None:
        if self._chance(self._deadly):
            self.kinds.add("killed")
            raise ProcessKilledError

    def _job(self) -> bool:
        allowed = self._random.choice([1, 1, 2, 3])
        raises = self._chance(0.6)
        for number in range(1, allowed + 1):
            attempt = Attempt(number, f"w{number}", f"x{number}")
            self.attempts.append(attempt)
            self._deadly = self._random.choice([0, 0, 0.05, 0.2])
            self._emit("job", None, "job:started", f"x{number}:start", job_name="order", attempt=number)
            error = None
            try:
                self._may_die()
                self._saga(attempt)
            except ProcessKilledError:
                error = KILLED
            except StepFailedError:
                error = "sold out" if raises else None
                if error is None:
                    self.kinds.add("swallowed")
                    self._emit("job", None, "job:completed", f"x{number}:end", attempt=number)
                    return True
            if error is None:
                self._emit("job", None, "job:completed", f"x{number}:end", attempt=number)
                return False
            if number < allowed:
                self.kinds.add("retried")
                self._emit("job", None, "job:retrying", f"x{number}:end", error=error, attempt=number)
                continue
            lost = error == KILLED and self._chance(0.3)
            data = {"presumed": True, "reason": "its worker is gone"} if lost else {"error": error}
            self._emit(
                "job", None, f"job:{'abandoned' if lost else 'failed'}", f"x{number}:end", attempt=number, **data
            )
        if self._chance(0.5):
            self._undo_job()
        return True

    def _saga(self, attempt: Attempt) -> None:
        kind = self._kind
        self._emit(attempt.workflow, "job", f"{kind}:buy:started", execution=attempt.execution)
        try:
            for step in STEPS:
                self._may_die()
                self._step(attempt, step)
            self._may_die()
        except StepFailedError:
            self._unwind(attempt)
            self._may_die()
            self._emit(attempt.workflow, "job", f"{kind}:buy:failed", error="sold out")
            raise
        except ProcessKilledError:
            self.first = self.first or attempt.workflow
            raise
        self._emit(attempt.workflow, "job", f"{kind}:buy:completed")

    def _step(self, attempt: Attempt, name: str) -> None:
        span_id = f"{name}{attempt.number}"
        declared = f"undo_{name}" if name in self._declared else None
        opening = {"compensation": declared, "execution": attempt.execution}
        self._emit(span_id, attempt.workflow, f"stage:{name}:started", **opening)
        try:
            self._may_die()
        except ProcessKilledError:
            self.first = self.first or span_id
            if declared:
                self.uncertain.add(span_id)
            raise
        if self._chance(0.15):
            self.first = self.first or span_id
            self._emit(span_id, attempt.workflow, f"stage:{name}:failed", error="sold out", error_type="SoldOut")
            raise StepFailedError
        self._emit(span_id, attempt.workflow, f"stage:{name}:completed")
        if declared:
            attempt.done.append(span_id)

    def _unwind(self, attempt: Attempt) -> None:
        how = self._random.choice(["not", "all", "up to the first that fails"])
        for step in reversed(attempt.done if how != "not" else []):
            self._may_die()
            if not self._undo(step, attempt.workflow, attempt.execution) and how != "all":
                return

    def _undo(self, step: str, parent: str, execution: str) -> bool:
        span_id = f"undo_{step}_{execution}"
        data = {"original_span_id": step, "execution": execution}
        self._emit(span_id, parent, "cancel:compensating", **data)
        self.in_vain.add(step)
        self._may_die()
        fails = self._chance(0.2)
        self._emit(
            span_id, parent, f"cancel:{'compensation_failed' if fails else 'compensated'}", original_span_id=step
        )
        if not fails:
            self.in_vain.discard(step)
            self.undone.add(step)
        return not fails

    def _undo_job(self) -> None:
        """Undo the remaining steps in another job, which may fail, be killed, or be retried by RQ."""
        self.kinds.add("undo job")
        left = [step for one in self.attempts for step in one.done if step not in self.undone]
        for number in (1, 2):
            execution = f"y{number}"
            self._deadly = self._random.choice([0, 0.2])
            self._emit("undo", "job", "job:started", f"{execution}:start", job_name="undo_order", attempt=number)
            error = None
            try:
                for step in reversed(left):
                    if step not in self.undone and not self._undo(step, "undo", execution):
                        error = "bank down"
                        break
                self._may_die()
            except ProcessKilledError:
                error = KILLED
            end = "completed" if error is None else "retrying" if number == 1 else "failed"
            self._emit("undo", "job", f"job:{end}", f"{execution}:end", error=error, attempt=number)
            if error is None:
                return

    @property
    def done(self) -> set[str]:
        return {step for one in self.attempts for step in one.done}

    @property
    def standing(self) -> set[str]:
        """Return the standing steps. In a saga that succeeded, its steps replaced those of earlier attempts."""
        left = (self.done | self.uncertain) - self.undone
        return left if self.failed else left & self.in_vain

    @property
    def verdict(self) -> str:
        began = bool(self.undone or self.in_vain)
        if self.standing:
            return "rollback_incomplete" if began else "rollback_missing"
        if not self.failed:
            return "succeeded"
        return "rolled_back" if began else "failed"


def answer(play: JobPlay, seed: int) -> Trace:
    events = random.Random(seed).sample(play.events, len(play.events))
    return build_trace("T", events, now=LATER)


@settings(max_examples=examples(300, heavy=3000), deadline=None)
@given(seed=st.integers(0, 2**63))
def test_the_answers_are_the_truth_about_the_jobs(seed: int) -> None:
    play = JobPlay(seed)
    trace = answer(play, seed)
    assert (trace.verdict, {one.span_id for one in trace.still_standing}) == (play.verdict, play.standing)
    if play.failed:
        assert trace.verdict not in ("succeeded", "succeeded_but_compensated")
        assert trace.cause is not None
        if play.first is not None:
            assert trace.cause.span_id == play.first
    if any(span.parent_id == "undo" for span in trace.spans.values()):
        assert trace.roles.get("undo") in (None, "compensation", "recovered")
    assert all(one.outcome != "running" for one in trace.compensations)


def test_the_plays_are_of_every_kind() -> None:
    plays = list(map(JobPlay, range(300)))
    verdicts = {"succeeded", "failed", "rolled_back", "rollback_incomplete", "rollback_missing"}
    assert {play.verdict for play in plays} == verdicts
    assert {kind for play in plays for kind in play.kinds} == {"killed", "swallowed", "retried", "undo job"}
