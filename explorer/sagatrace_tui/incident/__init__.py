"""Answers about an incident, which is rarely one trace: pure, from the answers of the model.

`summary` puts one trace into words for the incident channel. `trace_row` keeps of each trace what a list shows.
`failure_groups` puts failures of one kind together, by the shape of their error (`error_text`). `standing_steps` lists
what still stands anywhere.
`query` reads the line that says which traces are meant; `conditions` are the parts of it about a whole trace.
`alignment` finds the steps that two traces have in common, `comparison` how they differ (as `differences`), and
`comparison_text` says it in words and as JSON.
"""
