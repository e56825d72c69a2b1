"""Traces as OTLP JSON, the format of OpenTelemetry's collector, Jaeger and Tempo.

`writing` turns a trace into OTLP JSON. `reading` reads the spans in OTLP JSON, and `jaeger` the spans in Jaeger's JSON.
Both return a `ForeignSpan` for each span, and `foreign` turns it into events. A span from `writing` carries its events,
so reading it returns the same events.
"""

from sagatrace_tui.otlp.foreign import EVENT_ATTRIBUTE
from sagatrace_tui.otlp.reading import events_of_spans
from sagatrace_tui.otlp.writing import otlp_lines

__all__ = ["EVENT_ATTRIBUTE", "events_of_spans", "otlp_lines"]
