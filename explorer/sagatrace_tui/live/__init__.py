"""Feeds keep a screen up to date with the store. A poller reads a feed in its own thread.

- `refresh` decides when to read the store. `status` describes in words how up to date a feed is.
- `partition` holds the known events of one trace. `trace_feed` builds an immutable trace from them.
- `list_feed` follows the traces that match a query (`query_search`), with a row for each (`listed_traces`, `listing`).
- `poller` is the thread. `replay` builds a trace as of each of its events.
- `good_run` finds a good run of the same saga, and `compared` compares it with a trace.
- `window` reads traces once and `tail` follows them, for commands that print lines.

A feed knows a store, but no screen.
"""

from sagatrace_tui.live.list_feed import ENOUGH, OLDER, WHOLE, WINDOW, ListFeed
from sagatrace_tui.live.listed_traces import PAGE
from sagatrace_tui.live.listing import Listing
from sagatrace_tui.live.partition import CONFIRM_WITHIN
from sagatrace_tui.live.poller import FRAME, Poller
from sagatrace_tui.live.query_search import accepts, as_search, with_word_resolved
from sagatrace_tui.live.refresh import AFRESH, INTERVAL, LOOK, Clock, Meter, wall_clock
from sagatrace_tui.live.replay import Frame, Replay
from sagatrace_tui.live.status import CALM, QUIET, SWEEP, LiveStatus, live_status
from sagatrace_tui.live.tail import Step, follow_store, follow_trace
from sagatrace_tui.live.trace_feed import OpenTrace, TraceFeed
from sagatrace_tui.live.window import read_rows

__all__ = [
    "AFRESH",
    "CALM",
    "CONFIRM_WITHIN",
    "ENOUGH",
    "FRAME",
    "INTERVAL",
    "LOOK",
    "OLDER",
    "PAGE",
    "QUIET",
    "SWEEP",
    "WHOLE",
    "WINDOW",
    "Clock",
    "Frame",
    "ListFeed",
    "Listing",
    "LiveStatus",
    "Meter",
    "OpenTrace",
    "Poller",
    "Replay",
    "Step",
    "TraceFeed",
    "accepts",
    "as_search",
    "follow_store",
    "follow_trace",
    "live_status",
    "read_rows",
    "wall_clock",
    "with_word_resolved",
]
