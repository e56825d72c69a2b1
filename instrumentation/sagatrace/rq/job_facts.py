"""Read the facts of an RQ job that its events hold. Reading runs none of the user's code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from rq.job import Job

from sagatrace.event import UNREADABLE
from sagatrace.timestamps import utc_timestamp

__all__ = ["execution_id_of", "facts_of", "loaded_name_of", "meta_of", "name_of", "own_trace_id"]

_PICKLED_CALL: Final = re.compile(rb"\x80.(?:\x95.{8})?\((?:\x8c(.)|X(.{4}))", re.DOTALL)


def facts_of(job: Job) -> dict[str, Any]:
    """Return the data of an event that opens a job's span. Without loading the job, `job_name` may be unknown."""
    facts = {"queue": job.origin}
    if name := name_of(job.data):
        facts["job_name"] = name
    if job.enqueued_at is not None:
        facts["enqueued_at"] = utc_timestamp(job.enqueued_at)
    return facts


def execution_id_of(job: Job, worker: object, given: Mapping[str, Any]) -> str | None:
    """Return the execution's id, or None. RQ 3 passes it to the worker's methods. RQ 2 keeps it on the worker."""
    execution = given.get("execution") or vars(worker).get("execution")
    return execution.id if execution is not None and execution.job_id == job.id else None


def loaded_name_of(job: Job) -> dict[str, str]:
    """Return the job's name, as RQ loaded it or as its data show it. Its start may lack it, or may not be recorded."""
    name, data = vars(job).get("_func_name"), vars(job).get("_data")
    found = name if isinstance(name, str) else name_of(data) if isinstance(data, bytes) else ""
    return {"job_name": found} if found else {}


def meta_of(job: Job) -> Mapping[str, Any]:
    """Return the job's meta, even if its producer used another serializer. Do not change the job."""
    raw = job.meta.get("unserialized")  # RQ's stand-in for a meta that it could not read
    if not isinstance(raw, bytes):
        return job.meta
    from sagatrace.rq.foreign_meta import read_meta  # only where it is needed

    return read_meta(raw) or job.meta


def own_trace_id(job: Job) -> str:
    """Return the id of the trace of a job that was enqueued without a context."""
    # A user may use an id again. The creation time is unique to one run.
    named_by_rq = len(job.id) == 36 and job.id.count("-") == 4
    return job.id if named_by_rq else f"{job.id[:200]}-{utc_timestamp(job.created_at)}"


def name_of(data: bytes) -> str:
    """Return the function's name in a job's data, as RQ's own serializers write it; empty for another serializer.

    The data is not loaded, because loading imports and runs the user's code. Only work-horses load jobs in RQ, so that
    they use the current code and their own connections. A pickled call begins with these opcodes of `pickletools`:
    protocol, perhaps frame, and tuple. The tuple begins with the length and text of the name.
    """
    if data.startswith(b"["):
        with suppress(*UNREADABLE):
            return msgspec.json.decode(data, type=tuple[str, msgspec.Raw, msgspec.Raw, msgspec.Raw])[0]
    if (begin := _PICKLED_CALL.match(data)) is None:
        return ""
    size = int.from_bytes(begin[1] or begin[2], "little")
    return data[begin.end() : begin.end() + size].decode("utf-8", "backslashreplace")
