"""The shipper delivers an outbox to the store. An event leaves the outbox only after the store has confirmed it.

    python -m sagatrace.shipper            deliver the waiting events
    python -m sagatrace.shipper --follow   and new events, until stopped

The shipper is a process of its own, never a thread of a process that forks. A kill at any moment loses nothing: the
kernel drops its lock, and the next shipper sends the unfinished segment again. Event ids make the second time harmless.
A worker imports only `launcher` and `lock` of this package.
"""
