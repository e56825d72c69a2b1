"""Why a step still stands, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sagatrace_tui.model.answers import Code, Effect, Standing
from sagatrace_tui.model.text import clock

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


def reason_of(standing: Standing) -> str:
    """Return why a step still stands, and why it counts although it did not succeed."""
    if standing.code is Code.FAILED:
        reason = f"compensation failed after {standing.tries} attempt{'s' if standing.tries > 1 else ''}"
    else:
        reason = _WORDS[standing.code]
    if standing.effect is not None:
        return f"{reason}; {_effect(standing.effect)}"
    return f"{reason}; it had failed itself, so there may be nothing to undo" if standing.failed_itself else reason


def _effect(effect: Effect) -> str:
    more = f" (and {effect.count - 1} more)" if effect.count > 1 else ""
    name = f"its {'job ' if effect.is_job else ''}{effect.name}{more}"
    end = "failed" if effect.step_failed else "ended"
    match effect.kind:
        case "late":
            return f"{name} completed at {clock(effect.at)}, after it had {end}: it took effect"
        case "done":
            return f"{name} completed at {clock(effect.at)}, before it {end}: it may have taken effect"
        case "unknown":
            return f"the outcome of {name} is unknown ({effect.detail}): it may have taken effect"
        case "open":
            running = "is still running" if effect.detail == "still running" else effect.detail
            return f"{name} {running}: it may have taken effect"
    return f"{name} {effect.detail}: it may still run"
