"""The keys of an open trace, and their groups in its help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual.binding import Binding, BindingType

from sagatrace_tui.widgets.find_line import FindLine
from sagatrace_tui.widgets.ledger import Ledger
from sagatrace_tui.widgets.rows import Rows
from sagatrace_tui.widgets.span_detail import SpanDetail
from sagatrace_tui.widgets.span_tree import SpanTree

__all__ = ["TRACE_KEYS", "help_sections"]

TRACE_KEYS: Final[list[BindingType]] = [
    Binding("w", "view('why')", "Why", tooltip="Why it failed, root to cause; again for all spans"),
    Binding(
        "c", "view('compensation')", "Compensation", tooltip="Compensations and what still stands; again for all spans"
    ),
    Binding("1", "view('tree')", "View: all spans", show=False),
    Binding("2", "view('why')", "View: why it failed, root to cause", show=False),
    Binding("3", "view('compensation')", "View: compensations and what still stands", show=False),
    Binding("e", "in_tree('error', 1)", "Error", tooltip="Next error, from any pane"),
    Binding("E", "in_tree('error', -1)", "Previous error", show=False),
    Binding("J", "failed_trace(1)", "Next failed trace of the list", show=False),
    Binding("K", "failed_trace(-1)", "Previous failed trace of the list", show=False),
    Binding("left_square_bracket", "replay(-1)", "Replay: one event back", show=False),
    Binding("right_square_bracket", "replay(1)", "Replay: one event forward", show=False),
    Binding("home", "replay_to('first')", "Replay: to the first event", show=False, priority=True),
    Binding("end", "replay_to('newest')", "Replay: to the newest event", show=False, priority=True),
    Binding("escape", "end_replay", "Replay: back to the live trace", show=False, priority=True),
    Binding("slash", "find", "Find", priority=True, tooltip="Find in names, ids, errors and data"),
    Binding("n", "in_tree('match', 1)", "Next match", show=False),
    Binding("N", "in_tree('match', -1)", "Previous match", show=False),
    Binding("f", "follow", "Resume", tooltip="Pause or resume live updates"),
    Binding("tab,shift+tab", "other_pane", "Pane", tooltip="To the other pane"),
    Binding("asterisk", "only_matches", "Show only the matches, or all spans", show=False),
    Binding("y", "copy", "Copy the id, or the value under the cursor", show=False),
    Binding("Y", "copy_summary", "Copy summary", tooltip="Copy incident summary"),
    Binding("d", "compare", "Compare", tooltip="Compare with the last good run of this saga"),
    Binding("S", "save", "Save the incident summary as a file", show=False),
    Binding("r", "reload", "Refresh", show=False),
    Binding("question_mark,f1", "app.help", "Help", tooltip="These keys"),
    Binding("q", "leave", "Back", tooltip="Back to the list"),
    Binding("escape", "back", "Close the detail, the view or the find line; then back to the list", show=False),
]


def help_sections() -> Sequence[tuple[str, Sequence[BindingType]]]:
    """Return the keys of the screen and of its panes, each once."""
    here = {binding.key for binding in Binding.make_bindings(TRACE_KEYS)}
    tree = [binding for binding in Binding.make_bindings(SpanTree.BINDINGS) if binding.key not in here]
    return [
        ("Screen", TRACE_KEYS),
        ("Span tree", [*tree, *Rows.BINDINGS]),
        ("Detail", SpanDetail.BINDINGS),
        ("Compensation", Ledger.BINDINGS),
        ("Find line", FindLine.BINDINGS),
    ]
