"""The explicit API: emit events, open spans and compensations under a context that you pass on.

    tracer = Tracer()                       # to SAGATRACE_STORE, through the outbox (`Settings`)
    trace = TraceContext.new("loan-L123")
    with tracer.span("workflow:loan-approval", trace) as loan:
        with tracer.span("stage:credit", loan, compensation="release_credit") as credit:
            ...
        with tracer.compensation(original=credit, parent=loan, reason="funding failed"):
            ...

Tracing never breaks the work that it traces. An event that cannot be recorded is counted in `Tracer.lost` and logged
once per cause, and no call raises for it. Only calls that return a span raise, for an argument of the wrong kind. Two
exceptions pass, because they are meant for the job: RQ's timeout, and an exception of a signal handler of the job. They
may be raised while an event is written.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from sagatrace.context import TraceRef, bound, span_id_of
from sagatrace.error_text import MAX_ERROR, MAX_STACK, error_data, text_of
from sagatrace.errors import OutboxFullError, interruption, is_switched_off, log_fault, must_pass
from sagatrace.event import Status, TraceEvent, new_event, new_id
from sagatrace.outbox import Outbox, line_of, outbox_directory
from sagatrace.settings import Settings
from sagatrace.span import Span

if TYPE_CHECKING:
    from rq.job import Job

    from sagatrace.direct import DirectWriter
    from sagatrace.long_span import LongSpan
    from sagatrace.saga import Saga
    from sagatrace.sampling import Sampler
    from sagatrace.stores import EventStore

__all__ = ["MAX_ERROR", "MAX_STACK", "Span", "Tracer", "error_data"]

_UNKNOWN: Final = "0001-01-01T00:00:00.000000Z"  # the time of an event that is yet to happen
_AT: Final = f'"timestamp":"{_UNKNOWN}"'.encode()
_P = ParamSpec("_P")
_R = TypeVar("_R")
_Redact = Callable[[str, dict[str, Any]], Mapping[str, Any]]


class Tracer:
    """Write events to one target. A tracer is cheap: nothing is opened before the first event.

    Args:
        target: A store, the URL of one, or an Outbox to write to directly. By default the environment decides
            (`Settings`): events go into the outbox, and a shipper delivers them to the store.
        redact: Called as (event_type, data) before anything is stored. It gets the data as JSON values, without the
            keys that verdicts depend on, and returns the data to keep. SAGATRACE_REDACT is called after it.
    """

    def __init__(self, target: EventStore | Outbox | str | None = None, *, redact: _Redact | None = None) -> None:
        self._target, self._redact = target, redact
        self._opened: EventStore | Outbox | None = None
        self._direct: DirectWriter | None = None
        self._sampler: Sampler | None = None
        self._hooks: list[_Redact | str] | None = None
        self.lost: Counter[str] = Counter()

    @property
    def by_environment(self) -> bool:
        """Whether the environment decides where the events go."""
        return self._target is None

    def emit(
        self,
        event_type: str,
        context: TraceRef | str | None,
        *,
        span_id: str | None = None,
        status: Status | None = None,
        data: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
        tags: Iterable[str] | None = None,
        event_id: str | None = None,
        timestamp: str | None = None,
        replace: bool = False,
    ) -> TraceEvent | None:
        """Record an event under the context; it is durable on return. Return None if it was lost.

        Args:
            event_type: `name:phase`, or any name for an instant (`ai:decision`).
            context: The place of the event; a text is a trace id. None starts a trace of its own.
            span_id: The span of the event; without it the event is a span of its own.
            status: Wins over the phase's own status.
            data: Any values; a value that JSON cannot express is described.
            error: Its message, type and traceback go into the data.
            tags: Texts.
            event_id: Unique per event; an id of its own by default.
            timestamp: ISO 8601; now by default.
            replace: Overwrite an event of the same id: for an observed event that replaces a presumed one.
        """
        before = sys.exception()
        event: TraceEvent | None = None
        made: dict[str, Any] = {"event_type": event_type, "status": status, "timestamp": timestamp, "tags": tags}
        try:
            made |= {"id": event_id or new_id(), "span_id": span_id or new_id(), **self._place(context)}
            event = self._made({**(data or {}), **(error_data(error) if error is not None else {})}, made)
            self._keep(event, replace)
        except Exception as fault:  # noqa: BLE001 - counted, unless it is meant for the job
            interrupt = interruption(fault, before)
            if interrupt is None:
                self._count("event lost", fault)
                return None
            if "id" in made:
                self._keep_again(event, made, replace, data or {}, interrupt)
            raise interrupt  # noqa: B904 - it is the very exception that is meant for the job
        return event

    def prepare(
        self,
        event_type: str,
        context: TraceRef,
        *,
        span_id: str,
        event_id: str,
        status: Status,
        data: Mapping[str, Any],
    ) -> Callable[[str], bool] | None:
        """Prepare an event that ends a span, except its time. Return None if only `emit` can record it.

        The result is called with the time, and returns whether the event is kept. If not, `emit` records it. A
        work-horse pays for each page of memory that it touches first: making an event there takes 3 % of an empty job.
        """
        outbox = self._opened
        if not isinstance(outbox, Outbox) or type(self).emit is not Tracer.emit:
            return None
        made = {"event_type": event_type, "id": event_id, "span_id": span_id, "status": status, **self._place(context)}
        whole = self._made(data, {**made, "timestamp": _UNKNOWN})
        event = whole if self._sampler is None else self._sampler(whole)
        if event is None:
            return None  # a trace that is not sampled: `emit` records the end if the trace fails by then
        before, found, after = line_of(event, replace=True).partition(_AT)

        def keep(at: str) -> bool:
            try:
                outbox.write(before + _AT.replace(_UNKNOWN.encode(), at.encode()) + after, is_late=True)
            except (OSError, OutboxFullError) as error:
                if must_pass(error):
                    raise
                return False
            return True

        return keep if found else None

    def span(
        self,
        name: str,
        parent: TraceRef | str | None,
        *,
        compensation: str | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
    ) -> Span:
        """Return a unit of work: `with` or `async with` emits its start, and its completion or failure.

        `compensation` names the work that would undo it. Without it the step is not expected to be undone.
        """
        declared = {} if compensation is None else {"compensation": compensation}
        return Span(self, name, parent, "step", {**(data or {}), **declared}, tags)

    def compensation(
        self,
        *,
        original: TraceRef | Job | str,
        parent: TraceRef | str | None,
        reason: str | None = None,
        name: str | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] = ("compensation",),
    ) -> Span:
        """Return the compensation of a step, given as its span, its RQ job or its span id.

        Its name is `name`, or the compensation that the step declared.
        """
        start = {
            **(data or {}),
            "original_span_id": span_id_of(original),
            **({} if reason is None else {"reason": reason}),
        }
        declared = getattr(original, "compensation", None)
        return Span(self, name or declared or "saga", parent, "compensation", start, tags)

    def saga(self, name: str, parent: TraceRef | str | None = None, *, data: Mapping[str, Any] | None = None) -> Saga:
        """Return a saga. If it fails, its steps are undone in reverse order (`sagatrace.saga`)."""
        from sagatrace.saga import Saga  # only where it is used

        return Saga(self, name, parent, data or {})

    def begin(
        self,
        name: str,
        parent: TraceRef | str | None,
        *,
        compensation: str | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
    ) -> str:
        """Record the start of a span that outlives this process. Return a text, for `resume` in any process.

        The text is JSON and holds ids and names only. The arguments are those of `span`. The span stays open until it
        is ended through `resume`. The end of a job or process does not end it.
        """
        from sagatrace.long_span import begun  # only where it is used

        return begun(self, name, parent, compensation=compensation, data=data, tags=tags)

    def resume(self, ref: str | Mapping[str, Any] | None) -> LongSpan:
        """Return the span that `begin` recorded, to put work under it and to end it (`sagatrace.long_span`).

        `ref` is the text that `begin` returned, or its JSON object. For None or an empty text, as in a row of before,
        nothing is ended, and work under the result is in a trace of its own. Raises EventError for any other value.
        """
        from sagatrace.long_span import resumed  # only where it is used

        return resumed(self, ref)

    def bind(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return the function, bound to the current context (the job and its open span), for another thread.

        Example: `pool.map(tracer.bind(ship), orders)`. Without it a thread knows only the job of its process.
        """
        return bound(function)

    def close(self) -> None:
        """Close the store's connections."""
        for opened in (self._opened, self._direct):
            if opened is not None:
                opened.close()

    def _place(self, context: TraceRef | str | None) -> dict[str, Any]:
        if context is None or isinstance(context, str):
            if context is None:
                self._count("no trace context here, so the event is in a trace of its own")
            return {"trace_id": new_id() if context is None else context, "parent_span_id": None}
        return {"trace_id": context.trace_id, "parent_span_id": context.span_id}

    def _made(self, data: Mapping[str, Any], made: dict[str, Any]) -> TraceEvent:
        if "opentelemetry.trace" in sys.modules:
            from sagatrace.otel import with_otel_trace_id  # only where the program uses it

            data = with_otel_trace_id(data)
        event = new_event(data=data, **made)
        if self._hooks is None:
            self._hooks = [hook for hook in (self._redact, os.environ.get("SAGATRACE_REDACT", "").strip()) if hook]
        if not self._hooks:
            return event
        from sagatrace.redaction import redacted  # only where it is asked for

        return redacted(event, self._hooks, self._count)

    def _keep(self, event: TraceEvent, replace: bool) -> None:
        if self._opened is None:
            if os.environ.get("SAGATRACE_SAMPLE", "").strip():
                from sagatrace.sampling import Sampler  # only where it is asked for

                self._sampler = Sampler(Settings.from_env().sample)
            self._opened = self._open()
        kept = event if self._sampler is None else self._sampler(event)
        if kept is None:
            return
        try:
            self._opened.append([kept], replace=replace)
        except OSError as error:
            if must_pass(error) or self._target is not None:
                raise
            from sagatrace.direct import DirectWriter  # only where the outbox is unusable

            self._direct = self._direct or DirectWriter()
            self._direct.write(kept, replace, error)
            self._count("delivered directly, outbox unusable", error)

    def _keep_again(
        self,
        event: TraceEvent | None,
        made: dict[str, Any],
        replace: bool,
        data: Mapping[str, Any],
        interrupt: BaseException,
    ) -> None:
        """Write an event after an interruption. The interruption happens only once, so there is time.

        If the event is stored already, its id makes the second write harmless. If the interruption was raised while the
        data was read, only structural values are stored: the objects of a job could hang again.
        """
        from sagatrace.redaction import structural

        try:
            withheld = {"data_withheld": type(interrupt).__name__, **structural(data)}
            self._keep(event or new_event(data=withheld, **made), replace)
        except Exception as error:  # noqa: BLE001 - counted, and the interruption passes
            self._count("event lost", error)

    def _open(self) -> EventStore | Outbox:
        if self._target is not None and not isinstance(self._target, str):
            return self._target
        settings = Settings.from_env()
        directory = outbox_directory(settings) if self._target is None else None
        if directory is not None:
            return Outbox(directory, max_bytes=int(settings.outbox_mb * 2**20), fsync=settings.fsync)
        from sagatrace.direct import opened_store  # only where events are written directly

        return opened_store(self._target or settings.store, settings, settings.max_wait)

    def _count(self, what: str, error: Exception | None = None, *, is_secret: bool = False) -> None:
        """Count a fault, and log each cause once; without the error's text if it may hold data."""
        if error is None and self.by_environment and is_switched_off():
            return  # nothing is recorded, so nothing is lost
        # An OSError has many causes, so the key holds its number.
        number = f" {error.errno}" if isinstance(error, OSError) and error.errno else ""
        key = what if error is None else f"{what}: {type(error).__name__}{number}"
        self.lost[key] += 1
        if self.lost[key] == 1:
            notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
            message = text_of("message", lambda: f"{error}{notes}")
            text = key if error is None or is_secret else f"{what}: {type(error).__name__}: {message}"
            log_fault("sagatrace: %s (further ones are counted in Tracer.lost, not logged)", text)
