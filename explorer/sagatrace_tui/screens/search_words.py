"""The notices and the state line of the first screen: results, progress and the cost of reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sagatrace_tui.incident.query import completions
from sagatrace_tui.labels import duration, inert, plural
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.widgets.incident_panes import IncidentPanes, View

__all__ = ["DEMO", "SORT_WORDS", "facts_of", "notice_of"]

DEMO: Final = "demo: sagatrace list --store demo"
"""The text on the right of the first line in a demo."""
SORT_WORDS: Final[Mapping[str, str]] = {
    "last": "last activity",
    "started": "start",
    "took": "duration",
    "failures": "errors",
}
_NONE: Final[Mapping[View, str]] = {
    "traces": "No trace matches",
    "failures": "No failures",
    "standing": "Nothing still stands",
}
_NONE_NEW: Final[Mapping[View, str]] = {
    **_NONE,
    "failures": "No new kinds of failure",
    "standing": "Nothing still stands after a new kind of failure",
}
_ELSEWHERE: Final = 'KEY={0} finds a value of the data, "{0}" text of an error.'
_GONE: Final = "Newer events changed why its traces failed, or they are outside the time read:"
_FIRST_STEPS: Final = (
    "They appear here as soon as a traced worker writes one to this store.\n"
    "• point your workers at it: SAGATRACE_STORE=<the address below>\n"
    "• or fill it from a file:   sagatrace import FILE\n"
    "• or watch it at work:      sagatrace-tui --demo"
)


def facts_of(listing: Listing, panes: IncidentPanes) -> tuple[str, ...]:
    """Return the facts of the state line: rows, traces read, and the cost of the last reading.

    Args:
        listing: the reading on screen.
        panes: the views that show it.
    """
    view, rows, windowed = panes.view, panes.shown.row_count, panes.needs_window
    is_reading = listing.is_partial(windowed=windowed)
    count = f"{plural(len(listing.rows), 'trace')}"
    if not windowed and not listing.exhausted:
        count = count.replace(" ", "+ ", 1)
    facts = [count, plural(listing.queries, "query")]
    if listing.request_units is not None:
        facts.append(f"{listing.request_units:,.1f} RU")
    facts.append("reading …" if is_reading else f"{listing.micros / 1000:.1f} ms")
    if windowed:
        facts.insert(0, _window(listing))
    if view != "traces":
        kinds = plural(rows, "new kind" if panes.wanted.new_only else "kind")
        facts.insert(0, plural(rows, "step") + " standing" if view == "standing" else f"{kinds} of failure")
        if unreadable := sum(row.unreadable for row in listing.rows):
            facts.insert(1, f"{plural(unreadable, 'document')} unreadable")
    elif panes.wanted.group or panes.wanted.new_only:
        kinds = "one kind" if panes.wanted.group else "new kinds"
        facts.insert(0, f"{plural(rows, 'trace')} with {kinds} of failure")
    return (*facts, *filter(None, [listing.advice]))


def notice_of(
    listing: Listing, asked: str, word: str, panes: IncidentPanes, *, is_demo: bool = False
) -> tuple[str, str, bool] | None:
    """Return a notice (headline, explanation, whether it is a fault); None if the view's rows need no notice.

    Args:
        listing: the reading on screen.
        asked: the query.
        word: the word in the query that no key precedes.
        panes: the views that show the reading.
        is_demo: whether the demo fills the store.
    """
    view, known_kinds = panes.view, panes.known_kinds
    if listing.missing:
        return "No store yet", f"{listing.fault}\nThe file is looked for every second. Ctrl+C quits.", False
    if listing.fault is not None:
        kept = "The rows below were read earlier. " if listing.rows else ""
        return "The store could not be read", f"{listing.fault}\n{kept}Press r to try again now.", True
    if panes.shown.row_count:
        return None
    if panes.wanted.group:  # an event can change why a trace failed, and the window moves on
        text = f"{_GONE} {_window(listing)}.\nEsc goes back to the failures."
        return None if listing.is_partial(windowed=True) else ("No trace has this failure any more", text, False)
    is_reading = listing.is_partial(windowed=view != "traces")
    looked_at = plural(listing.looked_at, "trace")
    if is_reading and (asked or view != "traces"):
        return "Reading" if not asked else "Searching", f"{looked_at} read so far. Esc stops.", False
    if asked and view == "traces":
        why = f"None of {looked_at} matches." if listing.looked_at else "All terms must match the same event."
        more = f"\n{_elsewhere(word)}" if word else ""
        return _NONE[view], f"{asked}\n{why} / changes it, Esc shows all traces again.{more}", False
    if is_reading:
        return None
    if view != "traces":
        where = f"{plural(len(listing.rows), 'trace')} read, {_window(listing)}."
        more = f" {plural(known_kinds, 'known kind')} of failure." if known_kinds else ""
        more += f" Query: {asked}" if asked else ""
        unreadable = sum(row.unreadable for row in listing.rows)
        is_sure = listing.whole and not listing.full and not unreadable
        none = (_NONE_NEW if known_kinds else _NONE)[view]
        headline = none if is_sure else f"{none} in what was read"
        if asked and not listing.rows:  # a misspelled query must not look like an all-clear
            headline = _NONE["traces"]
        more += f" {plural(unreadable, 'document')} cannot be read." if unreadable else ""
        return headline, f"{where}{more}\n1 shows the traces. / since:7d looks further back.", False
    return "No traces yet", "The demo's first sagas appear within seconds." if is_demo else _FIRST_STEPS, False


def _elsewhere(word: str) -> str:
    """Return the terms that look for a word in other places."""
    statuses = [one for one in completions("status:") if one.startswith(f"status:{word.lower()}")]
    other = _ELSEWHERE.format(inert(word, 40))
    return f"{statuses[0]} finds traces by their verdict. {other}" if statuses else other


def _window(listing: Listing) -> str:
    """Return the time window that was read, and how completely."""
    seconds = (listing.now - listing.began) // 1_000_000
    hours, rest = divmod(seconds, 3600)
    reach = f"last {f'{hours} h' if hours and not rest else duration(seconds * 1_000_000)}"
    if listing.whole:
        return f"newest {listing.looked_at:,} traces of the {reach}" if listing.full else reach
    return f"stopped within the {reach}" if listing.stopped else f"reading the {reach}"
