"""Read from Redis the state of an execution without a recorded end. Reading changes nothing.

RQ's own registries clean up when their length or members are read, and mark abandoned jobs as failed. So the keys are
read directly.
"""

from __future__ import annotations

import functools
import io
import pickle
import zlib
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from redis import Redis
from rq.job import Job
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

from sagatrace.errors import log_fault
from sagatrace.event import UNREADABLE, utc_timestamp

__all__ = ["Aftermath", "facts_of", "meta_of", "name_of", "own_trace_id", "read_aftermath"]

_UNPICKLABLE: Final = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
)
_FIELDS: Final = ("status", "retries_left")
_PHASES: Final = {
    Result.Type.SUCCESSFUL: "completed",
    Result.Type.FAILED: "failed",
    Result.Type.STOPPED: "stopped",
    Result.Type.RETRIED: "retrying",
    Result.Type.MAX_RETRIES_EXCEEDED: "failed",
}


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The state of one execution in Redis.

    Attributes:
        expires: When RQ gives up the execution, in seconds since 1970; None if it ended.
        status: The job's status; None if the job is gone.
        result: The phase of the execution's own result.
    """

    expires: float | None
    status: str | None
    retries_left: int
    result: str | None
    error: str | None
    ended_at: datetime | None
    next_at: datetime | None

    @property
    def phase(self) -> str:
        """The phase in which the execution ended, as far as known. For a lost one: how RQ will end it."""
        if self.result is not None:
            return "stopped" if self.status == "stopped" and self.result == "failed" else self.result
        if self.expires is not None:
            return "retrying" if self.retries_left else "abandoned"
        match self.status:
            case "finished":
                return "completed"
            case "failed" | "stopped" | "canceled" as ended:
                return ended
            case None:
                return "abandoned"
        return "retrying"  # the job waits or runs again

    @property
    def took_effect(self) -> bool:
        """Whether the job's function had succeeded, and its on_success callback failed."""
        return "in execute_success_callback\n" in (self.error or "")

    @property
    def is_known(self) -> bool:
        """Whether RQ has recorded the end of this very execution."""
        return self.result is not None

    @property
    def is_gone(self) -> bool:
        """Whether Redis no longer holds anything of it."""
        return self.result is None and self.expires is None and self.status is None

    @property
    def reason(self) -> str:
        """The evidence for the phase, in words."""
        if self.result is not None:
            return f"RQ holds its result: {self.phase}"
        if self.expires is not None:
            return "RQ still holds it for running"
        if self.status is None:
            return "the job is gone from Redis"
        return f"RQ holds the job as {self.status} and this execution for ended"


def read_aftermath(connection: Redis, job_id: str, queue: str, execution_id: str | None) -> Aftermath:
    """Return the state of an execution, in one round trip. Without an execution, the job's. Raises RedisError."""
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.zscore(StartedJobRegistry(queue, connection=connection).key, f"{job_id}:{execution_id}")
        pipeline.hmget(Job.key_for(job_id), *_FIELDS)
        pipeline.xrevrange(Result.get_key(job_id))  # type: ignore[no-untyped-call]
        pipeline.zscore(ScheduledJobRegistry(queue, connection=connection).key, job_id)  # type: ignore[no-untyped-call]
        expires, fields, results, scheduled = pipeline.execute()
    status, retries_left = (value.decode() if value else None for value in fields)
    # Not through RQ's Result: it loads the job's return value, which runs the user's code.
    own = (execution_id or "").encode()
    result: dict[bytes, bytes] = next((had for _, had in results if had.get(b"execution_id") == own), {})
    text, ended = result.get(b"exc_string"), result.get(b"execution_ended_at")
    return Aftermath(
        expires=expires,
        status=status,
        retries_left=int(retries_left or 0),
        result=_PHASES[Result.Type(int(result[b"type"]))] if result else None,
        error=zlib.decompress(b64decode(text)).decode("utf-8", "replace") if text else None,
        ended_at=datetime.fromtimestamp(float(ended), UTC) if ended else None,
        next_at=datetime.fromtimestamp(scheduled, UTC) if scheduled else None,
    )


def facts_of(job: Job) -> dict[str, Any]:
    """Return the data of an event that opens a job's span. `job_name` is missing if only loading the job gives it."""
    facts = {"queue": job.origin}
    if name := name_of(job.data):
        facts["job_name"] = name
    if job.enqueued_at is not None:
        facts["enqueued_at"] = utc_timestamp(job.enqueued_at)
    return facts


def meta_of(job: Job) -> Mapping[str, Any]:
    """Return the job's meta, even if its producer used another serializer. Do not change the job."""
    raw = job.meta.get("unserialized")  # RQ's stand-in for a meta that it could not read
    if not isinstance(raw, bytes):
        return job.meta
    with suppress(*UNREADABLE):
        return msgspec.json.decode(raw, type=dict[str, Any])
    with suppress(*_UNPICKLABLE):
        meta = _PlainUnpickler(io.BytesIO(raw)).load()
        if isinstance(meta, dict):
            return meta
    _warn_of_meta()
    return job.meta


@functools.cache
def _warn_of_meta() -> None:
    """Log once that a context may be lost."""
    log_fault("sagatrace: the meta of a job is in an unknown serialization, so the job may be in a trace of its own")


class _PlainUnpickler(pickle.Unpickler):
    """Load values of Python's own types, and run none of the user's code."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse: a pickle reaches code through this method."""
        raise pickle.UnpicklingError(f"{module}.{name} is not loaded here")


def own_trace_id(job: Job) -> str:
    """Return the id of the trace of a job that was enqueued without a context."""
    # A user may use an id again. The time of creation is unique to one run.
    named_by_rq = len(job.id) == 36 and job.id.count("-") == 4
    return job.id if named_by_rq else f"{job.id[:200]}-{utc_timestamp(job.created_at)}"


def name_of(data: bytes) -> str:
    """Return the function's name in a job's data, as RQ's own serializers write it; empty for another serializer.

    The data is not loaded, as that imports and runs the user's code. RQ's worker leaves this to its work-horses, which
    so load the current code and open their own connections. A pickled call begins with these opcodes of `pickletools`:
    protocol, frame and tuple. The tuple begins with the length and text of the name.
    """
    if data.startswith(b"["):
        with suppress(*UNREADABLE):
            return msgspec.json.decode(data, type=tuple[str, msgspec.Raw, msgspec.Raw, msgspec.Raw])[0]
    at = 11 if data[2:3] == b"\x95" else 2  # after the protocol and, if there is one, the frame's size
    if data[:1] != b"\x80" or data[at : at + 2] not in (b"(\x8c", b"(X"):
        return ""
    begin = at + 3 if data[at + 1 : at + 2] == b"\x8c" else at + 6
    size = int.from_bytes(data[at + 2 : begin], "little")
    return data[begin : begin + size].decode("utf-8", "backslashreplace")
