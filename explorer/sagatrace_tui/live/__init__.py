"""What is on screen kept true to the store: feeds that read, hear and fold, and the thread that makes them.

A feed knows a store and no screen; what it yields does not change while it is shown. reading (what is yielded) →
following (the state, in words) → partition (what is known of a trace) → twins (that, folded) → trace_feed, list_feed →
poller (the thread). follow does the same for who reads line by line.
"""

from sagatrace_tui.live.follow import Step, follow_store, follow_trace
from sagatrace_tui.live.following import SWEEP, Following, following
from sagatrace_tui.live.list_feed import ListFeed, as_search
from sagatrace_tui.live.poller import FRAME, Poller
from sagatrace_tui.live.reading import AFRESH, INTERVAL, LOOK, OLDER, PAGE, Clock, Listing, Meter, OpenTrace, wall_clock
from sagatrace_tui.live.trace_feed import TraceFeed

__all__ = [
    "AFRESH",
    "FRAME",
    "INTERVAL",
    "LOOK",
    "OLDER",
    "PAGE",
    "SWEEP",
    "Clock",
    "Following",
    "ListFeed",
    "Listing",
    "Meter",
    "OpenTrace",
    "Poller",
    "Step",
    "TraceFeed",
    "as_search",
    "follow_store",
    "follow_trace",
    "following",
    "wall_clock",
]
