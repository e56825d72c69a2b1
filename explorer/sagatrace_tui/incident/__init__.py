"""Answers about many traces at once, and about two beside each other: pure, from the answers of the model.

An incident is rarely one trace. `trace_row` keeps of each trace what a list shows.
"""
