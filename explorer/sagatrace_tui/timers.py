"""A timer that calls once, on a busy machine too."""

from __future__ import annotations

from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

__all__ = ["call_once"]


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
