"""Jobs whose failures are hard to record, and a redaction for workers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from redis import Redis
from rq import Callback, get_current_job
from rq.job import Job

from sagatrace import Tracer, trace_meta
from sagatrace.rq import current_trace
from sagatrace.rq.queue import TracedQueue


def fails_with_half_a_pair() -> None:
    raise ValueError("half \ud800 a pair")


def fails_with_an_epic() -> None:
    raise ValueError("\x01" * 20_000 + "\ud800")


def succeeds() -> str:
    return "done"


def fails() -> None:
    raise ValueError("no luck")


def callback_that_fails(job: Job, connection: Redis, *_: Any) -> None:
    raise LookupError("the callback's own")


def pays_with_a_card() -> None:
    with Tracer().span("step:pay", current_trace(), data={"card": "4111 1111 1111 1111"}, compensation="refund"):
        raise ValueError("card 4111 1111 1111 1111 was refused")


def mask_cards(event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """Be the value of SAGATRACE_REDACT."""
    return {key: str(value).replace("4111 1111 1111 1111", "****") for key, value in data.items()}


def note(label: str, job: Job) -> None:
    """Keep in Redis which context is known here."""
    trace = current_trace()
    text = "none" if trace is None else f"{trace.trace_id}/{trace.span_id}"
    job.connection.hset("contexts", label, text)


def notes_and(outcome: str) -> None:
    """Note the context in the job, in its threads and in a job that runs inside it; then succeed or fail."""
    job = get_current_job()
    assert job is not None
    note(f"job {job.id}", job)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(note, f"thread of {job.id}", job).result()
    inner = TracedQueue("inner", is_async=False, connection=job.connection)
    inner.enqueue(notes_inside, job_id=f"inside-{outcome}", on_success=Callback(noting_success))
    note(f"after the job inside {job.id}", job)
    TracedQueue("odd", connection=job.connection).enqueue(succeeds, job_id=f"below-{outcome}")
    if outcome == "fails":
        raise ValueError("no luck")


def notes_inside() -> None:
    job = get_current_job()
    assert job is not None
    note(f"job {job.id}", job)


def noting_success(job: Job, connection: Redis, *_: Any) -> None:
    note(f"on_success of {job.id}", job)


def noting_failure(job: Job, connection: Redis, *_: Any) -> None:
    note(f"on_failure of {job.id}", job)


def noting_handler(job: Job, *_: Any) -> bool:
    """Be an exception handler."""
    note(f"handler of {job.id}", job)
    return True


def starts_a_saga_of_jobs() -> None:
    """Be a saga by choreography: two steps are jobs, and so is the compensation of the first."""
    job = get_current_job()
    assert job is not None
    queue = TracedQueue("odd", connection=job.connection)
    charged = queue.enqueue(succeeds, job_id="charge", meta=trace_meta("order-1", compensation="refund"))
    failing = {"on_failure": Callback(refunds), "meta": trace_meta("order-1")}
    queue.enqueue(fails, job_id="ship", depends_on=charged, **failing)


def refunds(job: Job, connection: Redis, *_: Any) -> None:
    """Enqueue the compensation: below the step that failed."""
    queue = TracedQueue("odd", connection=connection)
    queue.enqueue(succeeds, job_id="refund", meta=trace_meta(current_trace(), undoes="charge"))


class HidingError(Exception):
    """An exception that raises when its traceback is read."""

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise LookupError("no traceback")


def hides_its_traceback() -> None:
    raise HidingError("no luck")


def fails_by_a_callback_inside() -> None:
    """Run a job inside this one. Its callback fails, and so the function fails as well."""
    job = get_current_job()
    assert job is not None
    inner = TracedQueue("inner", is_async=False, connection=job.connection)
    inner.enqueue(succeeds, on_success=Callback(callback_that_fails))


def fails_in_its_first_attempt() -> None:
    """Fail in every other execution."""
    job = get_current_job()
    assert job is not None
    if job.connection.incr(f"executions:{job.id}") % 2:
        raise ValueError("no luck")
