"""Answers about many traces at once, and about two beside each other: pure, from the answers of the model.

An incident is rarely one trace. `trace_row` keeps of each trace what a list shows. `alignment` finds the steps that two
traces have in common, `comparison` how they differ (as `differences`), and `comparison_text` says it in words and as
JSON.
"""
