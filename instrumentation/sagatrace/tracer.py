"""The explicit API: emit events, and open spans and compensations, under a context that you pass on.

    tracer = Tracer()                       # to SAGATRACE_STORE, through the outbox (`Settings`)
    trace = TraceContext.new("loan-L123")
    with tracer.span("workflow:loan-approval", trace) as loan:
        with tracer.span("stage:credit", loan, compensation="release_credit") as credit:
            ...
        with tracer.compensation(original=credit, parent=loan, reason="funding failed"):
            ...

Tracing never breaks the work that it traces. An event that cannot be recorded is counted in `Tracer.lost` and logged
once per cause. No call raises for it. `span`, `compensation`, `saga`, `begin` and `resume` raise for an argument of the
wrong type. Two exceptions pass, because they are meant for the job: RQ's timeout, and an exception that a signal
handler of the job raised. They may be raised while an event is written.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sagatrace.context import TraceContext, TraceRef, bound, span_id_of
from sagatrace.destination import Destination
from sagatrace.error_text import error_data
from sagatrace.event import Status, TraceEvent, new_event
from sagatrace.faults import count_fault, is_switched_off
from sagatrace.interruptions import interruption
from sagatrace.span import Span

if TYPE_CHECKING:
    from rq.job import Job

    from sagatrace.long_span import LongSpan
    from sagatrace.outbox import Outbox
    from sagatrace.saga import Saga
    from sagatrace.stores import EventStore

__all__ = ["Tracer"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Redact = Callable[[str, dict[str, Any]], Mapping[str, Any]]


class Tracer:
    """Write events to one target. A tracer is cheap: nothing is opened before the first event.

    Args:
        target: A store, the URL of a store, or an Outbox. The tracer writes to it directly. By default the environment
            decides (`Settings`): events go into the outbox, and a shipper delivers them to the store. In a job they go
            where those of its worker go.
        redact: Called as (event_type, data) before anything is stored. It receives the data as JSON values, without
            the keys that verdicts depend on. It returns the data to keep. SAGATRACE_REDACT is called after it.

    Attributes:
        lost: The counts of events that were lost and of other tracing faults, by cause.
    """

    def __init__(self, target: EventStore | Outbox | str | None = None, *, redact: _Redact | None = None) -> None:
        self.lost: Counter[str] = Counter()
        self.destination = Destination(target, self._count)
        self._redact = redact
        self._hooks: list[_Redact | str] | None = None

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
        """Record an event under the context. On return it is stored, or in the outbox.

        Args:
            event_type: `name:phase`, or any name for an instant (`ai:decision`).
            context: The place of the event. A text is a trace id. With None the event starts a new trace.
            span_id: The id of the event's span. By default the event gets a new span.
            status: Overrides the status that the phase implies.
            data: Any values. A value that JSON cannot express is stored as its description.
            error: An exception. Its message, type and traceback are added to the data.
            tags: Texts to find the event by.
            event_id: Unique per event. The default is a new random id.
            timestamp: The time of the event in ISO 8601. The default is now.
            replace: Overwrite an event of the same id, such as a presumed end. Otherwise the first event stays.

        Returns:
            The event, even if it is not stored because its trace is not sampled or recording is off. None if it was
            lost: the loss is counted and logged.
        """
        before = sys.exception()
        event: TraceEvent | None = None
        made: dict[str, Any] = {"event_type": event_type, "status": status, "timestamp": timestamp, "tags": tags}
        made |= {"id": event_id, "span_id": span_id or None}
        try:
            values = {**(data or {}), **(error_data(error) if error is not None else {})}
            if "opentelemetry.trace" in sys.modules:
                from sagatrace.otel import with_otel_trace_id  # only where the program uses it

                values = with_otel_trace_id(values)
            event = self._made(values, made, context)
            self.destination.keep(event, replace)
        except Exception as fault:  # noqa: BLE001 - counted, unless it is meant for the job
            interrupt = interruption(fault, before)
            if interrupt is None:
                self._count("event lost", fault)
                return None
            try:
                from sagatrace.withheld import withheld_event  # only after an interruption

                # The interruption happens only once, so there is time. The id makes a second write harmless.
                event = event or withheld_event(made, self._place(context), data or {}, interrupt)
                self.destination.keep(event, replace)
            except Exception as again:  # noqa: BLE001 - counted, and the interruption passes
                self._count("event lost", again)
            raise interrupt  # noqa: B904 - the exception that is meant for the job, unchanged
        return event

    def span(
        self,
        name: str,
        parent: TraceRef | str | None,
        *,
        compensation: str | None = None,
        data: Mapping[str, Any] | None = None,
        tags: Iterable[str] | None = None,
    ) -> Span:
        """Return a span. Its `with` or `async with` block records its start, and its completion or failure.

        Args:
            name: The name of the work, such as `workflow:NAME` or `stage:NAME`.
            parent: The place of the span. A text is a trace id. With None the span starts a new trace.
            compensation: The name of the work that would undo this span. Without it, no undo is expected.
            data: Values for the start event.
            tags: Texts for all events of the span.
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
        """Return a span that undoes a step. Use it as the result of `span`.

        Args:
            original: The step to undo: its span, its RQ job or its span id.
            parent: The place of the compensation. A text is a trace id. With None it starts a new trace.
            reason: Why the step is undone.
            name: The name of the compensation. The default is the name that the step declared, else `saga`.
            data: Values for the start event.
            tags: Texts for all events of the span.
        """
        given = {} if reason is None else {"reason": reason}
        start = {**(data or {}), "original_span_id": span_id_of(original), **given}
        declared = getattr(original, "compensation", None)
        return Span(self, name or declared or "saga", parent, "compensation", start, tags)

    def saga(self, name: str, parent: TraceRef | str | None = None, *, data: Mapping[str, Any] | None = None) -> Saga:
        """Return a saga. If it fails, its completed steps are undone in reverse order (`sagatrace.saga`).

        Args:
            name: The saga's name. Its span is `workflow:NAME`.
            parent: The place of the saga. A text is a trace id. With None the saga starts a new trace.
            data: Values for the start event.
        """
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
        """Record the start of a span that outlives this process. Return a text for `resume` in any process.

        The text is JSON and holds ids and names only. The arguments are those of `span`. The span stays open until
        `complete` or `fail` of `resume`'s result ends it. The end of a job or process does not end it.
        """
        from sagatrace.long_span import begun  # only where it is used

        return begun(self, name, parent, compensation=compensation, data=data, tags=tags)

    def resume(self, ref: str | Mapping[str, Any] | None) -> LongSpan:
        """Return the span that `begin` recorded. Use it to place work under the span, and to end the span.

        `ref` is the text that `begin` returned, or its JSON object. For None or an empty text, as in a database row
        older than the tracing, the result ends no span, and work under it is in a new trace. Raises EventError for any
        other value.
        """
        from sagatrace.long_span import resumed  # only where it is used

        return resumed(self, ref)

    def bind(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return the function, bound to the current context (the job and its open span), for another thread.

        Example: `pool.map(tracer.bind(ship), orders)`. An unbound function in a thread knows only the process's job.
        """
        return bound(function)

    def close(self) -> None:
        """Close the store's connections. A later event opens them again."""
        self.destination.close()

    def _place(self, context: TraceRef | str | None) -> TraceContext:
        if context is None:
            self._count("no trace context here, so the event is in a trace of its own")
            return TraceContext.new()
        return TraceContext(context) if isinstance(context, str) else TraceContext(context.trace_id, context.span_id)

    def _made(self, data: Mapping[str, Any], made: Mapping[str, Any], context: TraceRef | str | None) -> TraceEvent:
        place = self._place(context)
        return self._redacted(new_event(trace_id=place.trace_id, parent_span_id=place.span_id, data=data, **made))

    def _redacted(self, event: TraceEvent) -> TraceEvent:
        if self._hooks is None:
            self._hooks = [hook for hook in (self._redact, os.environ.get("SAGATRACE_REDACT", "").strip()) if hook]
        if not self._hooks:
            return event
        from sagatrace.redaction import redacted  # only where it is asked for

        return redacted(event, self._hooks, self._count)

    def _count(self, what: str, error: Exception | None = None, *, is_secret: bool = False) -> None:
        if error is not None or not (self.destination.by_environment and is_switched_off()):
            count_fault(self.lost, what, error, is_secret=is_secret)
