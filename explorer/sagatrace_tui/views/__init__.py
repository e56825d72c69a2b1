"""Views of a trace for screens and commands. They read the model and are as pure as it is.

`outline` makes a list of a trace's tree. `timeline` maps times to columns. `find` searches a trace, `query` parses a
search of many traces. `trace_row` is one row of the list of traces. `report` and `incident_summary` are the answers of
a trace as JSON and as Markdown. `waiting` describes the spans that a running trace waits on.
"""
