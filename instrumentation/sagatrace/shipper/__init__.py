"""Brings what waits in an outbox to the store; nothing leaves the outbox before the store has said yes.

    python -m sagatrace.shipper            deliver what waits now
    python -m sagatrace.shipper --follow   and new events, until stopped

A process of its own, never a thread of one that forks. Killed at any moment it loses nothing: its lock goes with
it, and the next shipper sends the segment it was at again, where the events' ids make the second time harmless.
A worker imports only `launcher` and `lock` of this room.
"""
