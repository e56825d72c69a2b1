"""Views of a trace for screens and commands. They are pure functions of the model.

`outline` lists the nodes of a trace's tree. `timeline` maps times to columns. `find` searches a trace. `landmarks` are
its errors, its slowest spans and its critical path. `undeclared` finds the steps that declare no
compensation, and completed or have an unknown outcome. `waiting` describes the spans that a running trace waits on.
"""
