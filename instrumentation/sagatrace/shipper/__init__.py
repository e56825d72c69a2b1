"""The shipper delivers an outbox to the store. An event leaves the outbox only after the store has confirmed it.

    python -m sagatrace.shipper            deliver the waiting events
    python -m sagatrace.shipper --follow   and new events, until stopped

The shipper is a separate process, never a thread of a process that forks. A kill at any moment loses no event. The
kernel releases its lock, and the next shipper sends the unfinished segment again. A second delivery is harmless, since
events have ids. A worker imports only `launcher` and `lock` of this package.
"""
