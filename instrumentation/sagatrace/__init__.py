"""sagatrace: record what happened to a saga, from the workers that run it."""

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
from sagatrace.stores import AppendError, EventStore, open_store
from sagatrace.stores.memory import MemoryStore
from sagatrace.tracer import Tracer

if TYPE_CHECKING:
    from sagatrace.long_span import LongSpan
    from sagatrace.saga import Saga, StepError

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


_LATER = {"LongSpan": "sagatrace.long_span", "Saga": "sagatrace.saga", "StepError": "sagatrace.saga"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)  # most processes need none of these modules
