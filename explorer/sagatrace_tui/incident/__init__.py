"""Answers about many traces, comparisons of two, and one in words. Pure: computed from the answers of the model.

- `trace_row` is one trace in a list. `standing_steps` lists the steps that still stand in any trace.
- `failure_groups` groups failures of one kind, by the shape of their error (`error_text`).
- `query` parses the query line. `conditions` are its conditions on whole traces.
- `alignment` finds the steps that two traces have in common. `comparison` computes their `differences`.
  `comparison_text` renders them as text and as JSON.
- `report` renders one trace as JSON, `summary` as text for the incident channel. Both use `standing_facts`.
"""
