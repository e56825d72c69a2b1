"""Brings what waits in an outbox to the store; nothing leaves the outbox before the store has said yes.

    python -m sagatrace.ship            deliver what waits now
    python -m sagatrace.ship --follow   and what comes, until told to stop

A process of its own, never a thread of one that forks. Killed at any moment it loses nothing: its lock goes with
it, and the next shipper sends the segment it was at again, where the events' ids make the second time harmless.
"""

from sagatrace.ship.segment import DEAD_LETTERS
from sagatrace.ship.shipper import Shipment, Shipper, stop_on_signals
from sagatrace.ship.state import OutboxState, describe_outbox

__all__ = ["DEAD_LETTERS", "OutboxState", "Shipment", "Shipper", "describe_outbox", "stop_on_signals"]
