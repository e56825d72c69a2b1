"""A saga whose steps run in greenlets."""

from __future__ import annotations

import gevent
from gevent.pool import Pool

from sagatrace import Tracer
from sagatrace.context import TraceContext, innermost_span
from sagatrace.rq import current_trace

tracer = Tracer()


def place(*_: str) -> str:
    """Return the place of work that begins here, after other greenlets had their turn."""
    gevent.sleep(0)
    here = innermost_span() or TraceContext("unknown")
    return f"{here.trace_id}/{here.span_id}"


def books() -> None:
    """Book the parts of a trip side by side, each a step that can be undone. The last one fails."""
    with tracer.saga("trip", current_trace()) as saga:

        def book(part: str) -> None:
            with saga.step(part, undo=cancel) as step:
                assert place() == f"{step.trace_id}/{step.span_id}"
                if part == "car":
                    raise RuntimeError("no car")

        inside = f"{saga.trace_id}/{saga.span_id}"
        assert Pool(2).map(tracer.bind(place), ["bound", "bound as well"]) == [inside, inside]
        gevent.joinall([gevent.spawn(book, part) for part in ("flight", "hotel", "car")], raise_error=True)


def cancel() -> None:
    """Undo a step."""


def knows() -> None:
    """A greenlet that is not bound knows at least the job."""
    assert gevent.spawn(current_trace).get() == current_trace()
