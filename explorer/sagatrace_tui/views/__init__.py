"""Views of a trace for screens and commands: pure, like the model, and above it.

`outline` lays a trace's tree flat, `timeline` maps times to columns, `find` searches a trace, `query` parses a search
of many traces, `trace_row` is a trace in one row of a list. `report` and `incident_summary` give its
answers as JSON and as Markdown, `waiting` says what a running trace waits on.
"""
