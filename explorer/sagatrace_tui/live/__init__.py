"""Feeds keep a screen up to date with the store. A poller reads a feed in its own thread.

- `refresh` decides when to read the store. `status` describes in words how up to date a feed is.
- `partition` holds the known events of one trace. `trace_feed` builds an immutable trace from them.
- `list_feed` follows the traces that match a query (`query_search`), with a row for each (`listed_traces`, `listing`).
- `poller` is the thread. `replay` builds a trace as of each of its events.
- `good_run` finds a good run of the same saga, and `compared` compares it with a trace.
- `window` reads traces once and `tail` follows them, for commands that print lines.

A feed knows a store, but no screen.
"""
