"""The signs and words of the screens, and what each means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sagatrace_tui.labels import GLYPHS, VERDICTS
from sagatrace_tui.model import Verdict
from sagatrace_tui.theme import STATUS_TONES, VERDICT_TONES

__all__ = ["LEGEND", "Sign"]


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign or a word on a screen, its tone there, and its meaning."""

    text: str
    meaning: str
    tone: str = "plain"


_VERDICTS: Final[Mapping[Verdict, str]] = {
    "succeeded": "The saga ended well.",
    "running": "It has not ended, and nothing failed for good.",
    "compensating": "It failed, and its steps are being undone.",
    "failed": "It failed. No step had to be undone.",
    "rolled_back": "It failed, and every step was undone.",
    "rollback_incomplete": "It failed. Some steps were undone, others still stand.",
    "rollback_missing": "It failed. Steps still stand, and no undo began.",
    "succeeded_but_compensated": "It reported success, yet steps were undone.",
    "unknown": "The events do not say how it ended.",
}
_STATUSES: Final[Mapping[str, str]] = {
    "success": "The span ended well.",
    "failed": "The span failed, after its last attempt.",
    "running": "It has begun, and no end was recorded.",
    "queued": "It waits to begin: queued, scheduled or deferred.",
    "stopped": "It was stopped on request.",
    "canceled": "It was cancelled before it began.",
    "interrupted": "Its process ended while it was open.",
    "point": "One event without a duration.",
    "unknown": "No recorded event says how it stands.",
}

LEGEND: Final[Sequence[tuple[str, Sequence[Sign]]]] = (
    (
        "Verdicts of a trace",
        [Sign(" ".join(VERDICTS[one]), text, VERDICT_TONES[one]) for one, text in _VERDICTS.items()],
    ),
    (
        "Statuses of a span",
        [Sign(f"{GLYPHS[one]} {one}", text, STATUS_TONES[one]) for one, text in _STATUSES.items()],
    ),
    (
        "Words beside a span",
        [
            Sign("CAUSE", "The first failure that nothing below it explains.", "cause"),
            Sign("consequence", "It failed because a span below it failed.", "muted"),
            Sign("failed on its own", "A failure apart from the cause.", "bad"),
            Sign("recovered", "It failed at first. A later try went well.", "warn"),
            Sign("undo failed", "It failed while it undid a step.", "bad"),
            Sign("blocked", "It never starts: the span it waits for failed.", "warn"),
            Sign("⚠ still standing", "The step took effect, and was not undone.", "cause"),
            Sign("↺ being undone", "The undo of the step is running.", "busy"),
            Sign("↺ waits to be undone", "Its turn in the rollback is still to come.", "muted"),
            Sign("missing parent", "Spans name it, but no event of it arrived.", "warn"),
            Sign("⚠ and a word", "An anomaly. The detail explains it.", "warn"),
        ],
    ),
    (
        "Compensation view",
        [
            Sign("■", "This step still stands.", "cause"),
            Sign("✔ undone", "The undo ended well.", "ok"),
            Sign("✘ undo failed", "The undo failed.", "bad"),
            Sign("▶ undoing", "The undo is running.", "busy"),
            Sign("? unconfirmed", "The undo began. No outcome was recorded.", "warn"),
            Sign("◌ not started", "The undo was queued, and never began.", "warn"),
            Sign("2↕", "It was undone out of order.", "warn"),
        ],
    ),
    (
        "Rows and bars",
        [
            Sign("▾ ▸", "Unfolded; folded.", "key"),
            Sign("×214", "So many like spans in one row, or so many attempts.", "key"),
            Sign("◆ ◇", "In the view of failures: the cause; an independent failure.", "bad"),
            Sign("━ ─", "At work: on the critical path, which the end waited for; off it."),
            Sign("┄", "Waiting, or the pause before a retry."),
            Sign("×", "Work ended in failure here.", "bad"),
            Sign("← →", "Earlier, later than the time that shows.", "muted"),
            Sign("╍", "Like spans, from the first to the last.", "ok"),
            Sign("≈", "An idle gap, drawn short."),
            Sign("⋯12", "The depth of a row whose levels do not fit.", "muted"),
            Sign("+ ~", "New; in a replay also changed.", "key"),
            Sign("● in the last lines", "Green: up to date. Yellow: not live. Red: the store does not answer."),
        ],
    ),
)
"""All of them, by where they stand."""
