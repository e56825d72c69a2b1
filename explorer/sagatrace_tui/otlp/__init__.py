"""Traces as OTLP JSON, the form that OpenTelemetry's collector, Jaeger and Tempo take.

`writing` makes OTLP JSON of a trace. `reading` finds the spans in OTLP JSON, and `jaeger` those in the JSON of Jaeger's
interface. Both make a `ForeignSpan` of each, and `foreign` makes events of that. A span that `writing` made carries
its events, so reading it gives the same events again.
"""

from sagatrace_tui.otlp.foreign import EVENT_ATTRIBUTE
from sagatrace_tui.otlp.reading import events_of_spans
from sagatrace_tui.otlp.writing import otlp_lines

__all__ = ["EVENT_ATTRIBUTE", "events_of_spans", "otlp_lines"]
