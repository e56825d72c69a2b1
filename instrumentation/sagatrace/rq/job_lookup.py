"""Read from Redis the state of an execution without a recorded end. Reading changes nothing.

RQ's own registries clean up when their length or members are read, and mark abandoned jobs as failed. So the keys are
read directly.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from redis import Redis
from rq.job import Job
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

__all__ = ["Aftermath", "read_aftermath"]

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
        expires: When RQ gives up the execution, in seconds since 1970; None if the execution ended.
        status: The job's status; None if the job is gone.
        retries_left: The number of retries that RQ would still make.
        result: The phase of this execution's result; None without a result.
        error: The traceback that RQ kept.
        ended_at: The time of the result.
        next_at: The time of the next attempt.
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
        """The phase in which the execution ended. For a lost execution, the phase in which RQ will end it."""
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
        """Whether RQ has recorded the end of this execution."""
        return self.result is not None

    @property
    def is_gone(self) -> bool:
        """Whether Redis holds nothing of the execution and its job."""
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
    """Return the state of an execution, or without an id that of the job. One round trip. Raises RedisError."""
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.zscore(StartedJobRegistry(queue, connection=connection).key, f"{job_id}:{execution_id}")
        pipeline.hmget(Job.key_for(job_id), *_FIELDS)
        pipeline.xrevrange(Result.get_key(job_id))  # type: ignore[no-untyped-call]
        pipeline.zscore(ScheduledJobRegistry(queue, connection=connection).key, job_id)  # type: ignore[no-untyped-call]
        expires, fields, results, scheduled = pipeline.execute()
    status, retries_left = (value.decode() if value else None for value in fields)
    # Do not use RQ's Result: it loads the job's return value, which runs the user's code.
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
