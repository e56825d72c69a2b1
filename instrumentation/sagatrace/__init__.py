"""sagatrace: what happened to a saga, written by the workers that ran it."""

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
from sagatrace.stores import AppendError, EventStore, open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace.tracer import Span, Tracer

if TYPE_CHECKING:
    from sagatrace.saga import Saga, StepError

__all__ = [
    "AppendError",
    "EventError",
    "EventStore",
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


def __getattr__(name: str) -> Any:
    if name in ("Saga", "StepError"):  # most processes write no saga
        from sagatrace import saga

        return getattr(saga, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
