"""Reads what Redis still knows of an execution without a recorded end. Reading cleans up nothing.

RQ's own registries clean up when they are asked for their length or members, and call abandoned jobs failed while at
it. So the keys are read as they are.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from redis import Redis
from rq.job import Job
from rq.registry import ScheduledJobRegistry, StartedJobRegistry
from rq.results import Result

from sagatrace.event import UNREADABLE, utc_timestamp

__all__ = ["Aftermath", "facts_of", "name_of", "read_aftermath"]

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
    """One execution as Redis has it. `expires` is when RQ gives it up, in seconds since 1970; None when it ended.

    `status` is the job's, None when the job is gone; `result` the phase that the execution's own result stands for.
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
        """How the execution ended, as far as is known; if RQ holds it for running, what RQ will make of it."""
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
        return "retrying"  # it waits, or runs, again

    @property
    def is_known(self) -> bool:
        """Whether RQ wrote down how this very execution ended."""
        return self.result is not None

    @property
    def is_gone(self) -> bool:
        """Whether Redis holds nothing of it any more."""
        return self.result is None and self.expires is None and self.status is None

    @property
    def reason(self) -> str:
        """What the phase is concluded from, in words."""
        if self.result is not None:
            return f"RQ holds its result: {self.phase}"
        if self.expires is not None:
            return "RQ still holds it for running"
        if self.status is None:
            return "the job is gone from Redis"
        return f"RQ holds the job as {self.status} and this execution for ended"


def read_aftermath(connection: Redis, job_id: str, queue: str, execution_id: str | None) -> Aftermath:
    """Ask Redis once. Without an execution only the job itself is looked at. Raises RedisError."""
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.zscore(StartedJobRegistry(queue, connection=connection).key, f"{job_id}:{execution_id}")
        pipeline.hmget(Job.key_for(job_id), *_FIELDS)
        pipeline.xrevrange(Result.get_key(job_id))  # type: ignore[no-untyped-call]
        pipeline.zscore(ScheduledJobRegistry(queue, connection=connection).key, job_id)  # type: ignore[no-untyped-call]
        expires, fields, results, scheduled = pipeline.execute()
    status, retries_left = (value.decode() if value else None for value in fields)
    # Not by way of RQ's Result, which would load the job's return value, and so run code of the user's.
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
    """Return what an event that opens a job's span says of it; without `job_name` if only loading the job gives it."""
    facts = {"queue": job.origin}
    if name := name_of(job.data):
        facts["job_name"] = name
    if job.enqueued_at is not None:
        facts["enqueued_at"] = utc_timestamp(job.enqueued_at)
    return facts


def name_of(data: bytes) -> str:
    """The function's name in a job's data, as RQ's own serializers write it; empty where another did.

    The data is not loaded: that runs code of the user's, imports among it, and a worker of RQ's leaves all of that to
    its work-horses, which so find today's code and connections of their own. A pickled call begins, by the opcodes in
    `pickletools`, with protocol, frame and tuple, and first in that the length and text of the name.
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
