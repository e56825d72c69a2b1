"""Record what happened to a saga: why it failed, what was undone and what is still standing.

    from sagatrace import Tracer

    def charge(order): print("charged", order)
    def refund(order): print("refunded", order)
    def ship(order): raise RuntimeError("out of stock")

    with Tracer().saga("order", "order-4711") as saga:
        saga.call("charge", charge, "4711", undo=refund)
        saga.call("ship", ship, "4711")

The exception undoes the charge, and passes on. `sagatrace why order-4711` then says that the saga failed at
`step:ship` and was rolled back. `sagatrace-tui` shows it in an app.

RQ jobs are traced by `rq worker -w sagatrace.rq.Worker`. Events go to a file in the user's data directory, or to the
store in SAGATRACE_STORE: `sqlite:///traces.db`, or `cosmos://HOST/DATABASE/CONTAINER`. `sagatrace.settings` lists all
settings.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sagatrace.context import TraceContext, TraceRef, context_from_meta, trace_meta
from sagatrace.errors import (
    EventError,
    SagatraceError,
    SearchError,
    SettingsError,
    StoreAccessError,
    StoreError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from sagatrace.event import TraceEvent
from sagatrace.settings import Settings
from sagatrace.span import Span
from sagatrace.tracer import Tracer

if TYPE_CHECKING:
    from sagatrace.long_span import LongSpan
    from sagatrace.saga import Saga, StepError
    from sagatrace.stores import AppendError, EventStore, open_store
    from sagatrace.stores.memory import MemoryStore

__all__ = [
    "AppendError",
    "EventError",
    "EventStore",
    "LongSpan",
    "MemoryStore",
    "Saga",
    "SagatraceError",
    "SearchError",
    "Settings",
    "SettingsError",
    "Span",
    "StepError",
    "StoreAccessError",
    "StoreError",
    "StoreNotFoundError",
    "StoreUnavailableError",
    "TraceContext",
    "TraceEvent",
    "TraceRef",
    "Tracer",
    "context_from_meta",
    "open_store",
    "trace_meta",
]


# Most processes need none of these modules.
_LATER = {
    "AppendError": "sagatrace.stores",
    "EventStore": "sagatrace.stores",
    "LongSpan": "sagatrace.long_span",
    "MemoryStore": "sagatrace.stores.memory",
    "Saga": "sagatrace.saga",
    "StepError": "sagatrace.saga",
    "open_store": "sagatrace.stores",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
