"""Calls that come once and later, on a busy machine too, and never for a widget that has ended."""

from __future__ import annotations

from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

__all__ = ["call_after_drawing", "call_once"]


def call_once(node: MessagePump, seconds: float, call: Callable[[], object]) -> Timer:
    """Call after so many seconds, unless the node has ended or the timer was stopped.

    Do not use Textual's `set_timer`: it never calls if its task is held up by the whole time before it begins to wait
    (`Timer._run` of Textual 8 skips the only turn). An interval skips turns too, but then waits for the next one.
    """

    def fire() -> None:
        timer.stop()
        call()

    timer = node.set_interval(seconds, fire)
    return timer


def call_after_drawing(node: MessagePump, call: Callable[[], object]) -> None:
    """Call after the next drawing, unless the node has ended by then.

    Textual's own `call_after_refresh` leaves the call to the screen that is on top by then. That screen also makes it
    if the node has ended meanwhile, and has lost its children.
    """

    def unless_ended() -> None:
        if node.is_running:
            call()

    node.call_after_refresh(unless_ended)
