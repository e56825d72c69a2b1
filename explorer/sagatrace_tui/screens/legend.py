"""The signs and words on the screens, with their meanings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sagatrace_tui.labels import GLYPHS, VERDICTS
from sagatrace_tui.model import Verdict
from sagatrace_tui.theme import STATUS_TONES, VERDICT_TONES

__all__ = ["LEGEND", "Sign"]


class Sign(msgspec.Struct, frozen=True):
    """A sign or a word on a screen, its tone there, and its meaning."""

    text: str
    meaning: str
    tone: str = "plain"


_VERDICTS: Final[Mapping[Verdict, str]] = {
    "succeeded": "The saga succeeded.",
    "running": "It has not ended, and has not failed.",
    "compensating": "It failed, and its steps are being undone.",
    "failed": "It failed. No step had to be undone.",
    "rolled_back": "It failed, and every step that declares an undo was undone.",
    "rollback_incomplete": "It failed. Undoing began, but some steps still stand.",
    "rollback_missing": "It failed. Steps still stand, and no undo began.",
    "succeeded_but_compensated": "It reported success, although steps were undone.",
    "unknown": "The events do not say how it ended.",
}
_STATUSES: Final[Mapping[str, str]] = {
    "success": "The span succeeded.",
    "failed": "The span failed, after its last attempt.",
    "running": "It started, and no end was recorded.",
    "queued": "It waits to start: queued, scheduled or deferred.",
    "stopped": "It was stopped on request.",
    "canceled": "It was cancelled before it started.",
    "interrupted": "Its process ended while it was open.",
    "point": "One event without a duration.",
    "unknown": "The recorded events do not show its status.",
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
            Sign("CAUSE", "The first failure with no failure below it.", "cause"),
            Sign("consequence", "It failed because a span below it failed.", "muted"),
            Sign("failed on its own", "A failure apart from the cause.", "bad"),
            Sign("recovered", "It failed at first. A later attempt succeeded.", "warn"),
            Sign("undo failed", "It failed while undoing a step.", "bad"),
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
            Sign("✔ undone", "The undo succeeded.", "ok"),
            Sign("✘ undo failed", "The undo failed.", "bad"),
            Sign("▶ undoing", "The undo is running.", "busy"),
            Sign("? unconfirmed", "The undo began. No outcome was recorded.", "warn"),
            Sign("◌ not started", "The undo was queued, and has not begun.", "warn"),
            Sign("2↕", "It was undone out of order.", "warn"),
        ],
    ),
    (
        "Rows and bars",
        [
            Sign("▾ ▸", "Unfolded; folded.", "key"),
            Sign("×214", "The number of similar spans in one row, or of attempts.", "key"),
            Sign("◆ ◇", "In the view of failures: the cause; an independent failure.", "bad"),
            Sign("━ ─", "At work: on the critical path; off it."),
            Sign("┄", "Waiting, or the pause before a retry."),
            Sign("×", "Work ended in failure here.", "bad"),
            Sign("← →", "Earlier or later than the visible time.", "muted"),
            Sign("╍", "Similar spans, from the first to the last.", "ok"),
            Sign("≈", "A collapsed idle gap."),
            Sign("⋯12", "The depth of a row, if its levels do not fit.", "muted"),
            Sign("+", "New in the last seconds, or in a replay: came with this event.", "key"),
            Sign("~", "In a replay: changed by this event.", "key"),
            Sign("● in the last lines", "Green: up to date. Yellow: not live. Red: the store does not answer."),
        ],
    ),
)
"""All signs, grouped by the place where they appear."""
