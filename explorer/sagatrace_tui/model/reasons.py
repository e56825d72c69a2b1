"""Why a step still stands, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sagatrace_tui.model.answers import Code, Standing

__all__ = ["reason_of"]

_WORDS: Final[Mapping[Code, str]] = {
    Code.NOT_STARTED: "compensation never started",
    Code.NOT_REACHED: "rollback stopped before this step",
    Code.RUNNING: "compensation still running",
    Code.UNCONFIRMED: "unconfirmed: compensation started, no outcome recorded",
    Code.REVERTED: "its compensation was undone again",
    Code.BEFORE_COMPLETED: "undone before it completed (or clocks disagree)",
    Code.BEFORE_ENDED: "undone before it ended (or clocks disagree)",
    Code.BEFORE_WORK_ENDED: "undone before the work below it ended (or clocks disagree)",
}


def reason_of(standing: Standing, *, ended: bool = True) -> str:
    """Return why a step still stands, in a trace that has ended or not, and why it counts if it did not succeed."""
    if standing.code is Code.FAILED:
        reason = f"compensation failed after {standing.tries} attempt{'s' if standing.tries > 1 else ''}"
    elif standing.code is Code.NOT_STARTED and not ended:
        reason = "compensation not started so far"
    else:
        reason = _WORDS[standing.code]
    return f"{reason}; {standing.effect}" if standing.effect is not None else reason
