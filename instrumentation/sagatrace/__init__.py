"""sagatrace: what happened to a saga, written by the workers that ran it."""

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

__all__ = [
    "AppendError",
    "EventError",
    "EventStore",
    "MemoryStore",
    "SagatraceError",
    "SearchError",
    "Settings",
    "SettingsError",
    "Span",
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
