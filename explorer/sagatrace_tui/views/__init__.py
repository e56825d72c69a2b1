"""Views of a trace for screens and commands. They read the model and are as pure as it is.

`outline` makes a list of a trace's tree. `timeline` maps times to columns. `landmarks` finds its critical path and its
slowest spans. `find` searches a trace. `report` holds its answers as JSON. `waiting` describes the spans that a running
trace waits on.
"""
