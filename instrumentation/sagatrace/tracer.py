"""The explicit API: emit events, open spans and compensations under a context that you hand on.

    tracer = Tracer()                       # SAGATRACE_STORE, by way of the outbox (`Settings`)
    trace = TraceContext.new("loan-L123")
    with tracer.span("workflow:loan-approval", trace) as loan:
        with tracer.span("stage:credit", loan, compensation="release_credit") as credit:
            ...
        with tracer.compensation(original=credit, parent=loan, reason="funding failed"):
            ...

Tracing never breaks the work it traces: what cannot be recorded, or only some other way, is counted in `Tracer.lost`
and logged once per cause, and no call here raises for it (one with arguments of the wrong kind does). One exception
passes: RQ's job timeout, which may strike while an event is written and must reach the job.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

from sagatrace.context import TraceContext, TraceRef, current_execution
from sagatrace.errors import OutboxMismatchError, StoreError, is_job_timeout
from sagatrace.events import MAX_ERROR, MAX_STACK, UNWRITABLE, Status, TraceEvent, new_event, new_id
from sagatrace.outbox import Draft, Outbox, outbox_directory
from sagatrace.settings import Settings
from sagatrace.stores import EventStore, open_store

__all__ = ["Span", "Tracer", "error_data"]

log: Final = logging.getLogger("sagatrace")

_Redact = Callable[[str, dict[str, Any]], Mapping[str, Any]]
_STRUCTURAL: Final = ("original_span_id", "compensation", "execution")  # keys of data that no redaction sees
_REST: Final = 60.0  # seconds without trying a store that did not answer when the outbox could not be written


class Tracer:
    """Writes events to one place. Cheap to make: nothing is opened before the first event.

    Without `target` the environment decides (`Settings`): events go into the outbox, and a shipper brings them to
    the store. With a store or the URL of one they are written to it directly, with an Outbox into that. `redact`
    sees each event's `data` before anything is stored and returns what to keep of it.
    """

    def __init__(
        self,
        target: EventStore | Outbox | str | None = None,
        *,
        redact: _Redact | None = None,
    ) -> None:
        self._target = target
        self._redact = redact
        self._opened: EventStore | Outbox | None = None
        self._direct: EventStore | None = None
        self._direct_again = 0.0
        self.lost: Counter[str] = Counter()

    @property
    def by_environment(self) -> bool:
        """Whether the environment decides where the events go."""
        return self._target is None

    def emit(
        self,
        event_type: str,
        context: TraceRef,
        *,
        span_id: str | None = None,
        status: Status | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
        event_id: str | None = None,
        timestamp: str | None = None,
        replace: bool = False,
    ) -> TraceEvent | None:
        """Record that something happened under the context; durable on return. None when it was lost.

        Without `span_id` the event is a span of its own, as an instant (`ai:decision`) is. `replace` writes over an
        event of the same id: for what was seen, where somebody else can only presume. `timestamp` is now, unless given.
        """
        made: dict[str, Any] = {
            "id": event_id or new_id(),
            "trace_id": context.trace_id,
            "span_id": span_id or new_id(),
            "parent_span_id": context.span_id,
            "event_type": event_type,
            "status": status,
            "timestamp": timestamp,
            "tags": tags,
        }
        event: TraceEvent | None = None
        try:
            known = self._redacted(self._redact, event_type, data) if data and self._redact is not None else data
            event = new_event(data=known, **made)
            self._keep(event, replace)
        except Exception as error:
            if not is_job_timeout(error):
                self._count(error, "event lost")
                return None
            # It struck while the event was written, and fires once: so there is time to write it before the job
            # learns of it. Should it be there already, its id makes the second time harmless. But not the data,
            # where it struck in there: what a job's objects do to be shown would hang again, now without an end.
            try:
                withheld = {"data_withheld": type(error).__name__, **_structural(data)}
                self._keep(event or new_event(data=withheld, **made), replace)
            except Exception as again:  # noqa: BLE001 - counted, and the timeout goes on
                self._count(again, "event lost")
            raise
        return event

    def draft(self, fields: Mapping[str, Any], *, replace: bool = False) -> Draft | None:
        """What `Draft.keep` emits as an event of then; `fields` are all it has but its time, and fit to be stored.

        None where only `emit` can: before the first event, past a redaction, into a store, by a class that has an
        `emit` of its own, and what JSON or a store does not take as it is.
        """
        if self._redact is not None or type(self).emit is not Tracer.emit or not isinstance(self._opened, Outbox):
            return None
        try:
            return self._opened.draft(fields, replace=replace)
        except UNWRITABLE:
            return None

    def span(
        self,
        name: str,
        parent: TraceRef,
        *,
        compensation: str | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
    ) -> Span:
        """A unit of work: `with` or `async with` emits its start, and its completion or failure.

        `compensation` names what would undo it; a step that declares none is not expected to be undone.
        """
        start = dict(data or {})
        if compensation is not None:
            start["compensation"] = compensation
        return Span(self, name, parent, "step", data=start, tags=tags, compensation=compensation)

    def compensation(
        self,
        *,
        original: TraceRef | str,
        parent: TraceRef,
        reason: str | None = None,
        name: str | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] = ("compensation",),
    ) -> Span:
        """The undoing of a step, given as its span or span id. Named after what the step declared, or `name`."""
        start = {
            **(data or {}),
            "original_span_id": original if isinstance(original, str) else original.span_id,
        }
        if reason is not None:
            start["reason"] = reason
        declared = original.compensation if isinstance(original, Span) else None
        return Span(self, name or declared or "saga", parent, "compensation", data=start, tags=tags)

    def close(self) -> None:
        """Let go of the store's connections."""
        for opened in (self._opened, self._direct):
            if opened is not None:
                opened.close()

    def _keep(self, event: TraceEvent, replace: bool) -> None:
        if self._opened is None:
            self._opened = self._open()
        try:
            self._opened.append([event], replace=replace)
        except (OSError, OutboxMismatchError) as error:
            self._bypass(event, replace, error)

    def _open(self) -> EventStore | Outbox:
        if self._target is not None and not isinstance(self._target, str):
            return self._target
        settings = Settings.from_env()
        directory = outbox_directory(settings) if self._target is None else None
        if directory is not None:
            label = open_store(settings.store).label
            return Outbox(directory, max_bytes=int(settings.outbox_mb * 2**20), store=label, fsync=settings.fsync)
        return open_store(self._target or settings.store, max_wait=settings.max_wait, durable=settings.fsync)

    def _bypass(self, event: TraceEvent, replace: bool, fault: OSError | OutboxMismatchError) -> None:
        """The outbox's disk is full, or it is not ours to write, or another store's: this one may still be there."""
        if not self.by_environment or time.monotonic() < self._direct_again:
            raise fault
        try:
            if self._direct is None:
                settings = Settings.from_env()
                self._direct = open_store(settings.store, max_wait=settings.max_wait, durable=settings.fsync)
            self._direct.append([event], replace=replace)
        except Exception as error:
            self._direct_again = time.monotonic() + _REST  # one job waits for a store that is down, not every one
            if isinstance(error, StoreError):
                raise StoreError(f"{error}; and the outbox is unusable: {fault}") from error
            raise
        self._count(fault, "delivered directly, outbox unusable")

    def _redacted(self, redact: _Redact, event_type: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        kept = _structural(data)
        try:
            return {**(redact(event_type, {name: data[name] for name in data if name not in kept}) or {}), **kept}
        except Exception as error:
            if is_job_timeout(error):
                raise
            self._count(error, "data withheld, redaction failed")
            return {"redaction_failed": type(error).__name__, **kept}

    def _execution(self) -> str | None:
        """Return the RQ execution that runs here. A fault in finding it is counted, and costs no job its span."""
        try:
            return current_execution()
        except Exception as error:
            if is_job_timeout(error):
                raise
            self._count(error, "execution not recorded")
            return None

    def _count(self, error: Exception, what: str) -> None:
        """Count what could not be done as it should, and log each cause once."""
        # An OSError has many causes, which its number tells apart.
        number = f" {error.errno}" if isinstance(error, OSError) and error.errno else ""
        key = f"{what}: {type(error).__name__}{number}"
        self.lost[key] += 1
        if self.lost[key] == 1:
            cause = f"{what}: {type(error).__name__}: {error}"
            log.error("sagatrace: %s (further ones are counted in Tracer.lost, not logged)", cause)


Kind = Literal["step", "compensation"]
_PHASES: Final[Mapping[Kind, tuple[str, str, str]]] = {
    "step": ("started", "completed", "failed"),
    "compensation": ("compensating", "compensated", "compensation_failed"),
}


class Span:
    """An open span: a `TraceRef` to hand on to what runs inside it."""

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        parent: TraceRef,
        kind: Kind,
        *,
        data: Mapping[str, Any],
        tags: Iterable[str] | None,
        compensation: str | None = None,
    ) -> None:
        self._tracer = tracer
        self._parent = TraceContext(parent.trace_id, parent.span_id)
        self._phases = _PHASES[kind]
        self._data = data
        self._tags = tags
        self._outcome: dict[str, Any] = {}
        self.name = name
        self.compensation = compensation
        self.trace_id = parent.trace_id
        self.span_id: str = new_id()

    def record(self, **data: Any) -> None:
        """Add values to the event that will close this span."""
        self._outcome.update(data)

    def __enter__(self) -> Self:
        execution = self._tracer._execution()  # noqa: SLF001 - the span ends with it, should the process die
        self._emit(self._phases[0], data={**self._data, "execution": execution} if execution else self._data)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._emit(self._phases[1], status="success", data=self._outcome)
        elif isinstance(error, asyncio.CancelledError):
            self._emit("canceled", data=self._outcome)
        else:
            self._emit(self._phases[2], status="failed", data={**self._outcome, **error_data(error)})

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _emit(self, phase: str, *, data: Mapping[str, Any], status: Status | None = None) -> None:
        self._tracer.emit(
            f"{self.name}:{phase}",
            self._parent,
            span_id=self.span_id,
            status=status,
            data=data,
            tags=self._tags,
        )


def _structural(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values that say how a span stands to others: texts, as any other value is the user's own."""
    found = {name: data.get(name) for name in _STRUCTURAL} if data else {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def error_data(error: BaseException) -> dict[str, str]:
    """What an event says of an error: its message, type and traceback, each bounded and said to be cut."""
    try:
        message = str(error)
    except Exception as fault:  # a foreign __str__ may raise anything; it is named in the text
        if is_job_timeout(fault):
            raise
        message = f"<str failed: {type(fault).__name__}>"
    stack = "".join(traceback.format_exception(error))
    if len(message) > MAX_ERROR:
        message = f"{message[:MAX_ERROR]}… [cut, {len(message)} characters]"
    if len(stack) > MAX_STACK:
        stack = f"[cut, {len(stack)} characters] …{stack[-MAX_STACK:]}"
    return {"error": message, "error_type": type(error).__qualname__, "stack": stack}
