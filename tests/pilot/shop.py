"""A store of loans and orders of several kinds, and what the lists of the app show of it."""

from __future__ import annotations

from sagas import UnreliableStore, event, failed, running, screen_text, succeeded
from sagatrace.event import TraceEvent
from sagatrace_tui.app import SagatraceApp

DAY = 86_400.0


def refused(trace_id: str, at: float, saga: str = "order") -> list[TraceEvent]:
    """Return a saga that failed at its only step, without a step to undo."""
    error = {"error": f"card {at:.0f} is refused", "error_type": "CardError"}
    return [
        event(trace_id, "wf", f"workflow:{saga}:started", at, data={"workflow_id": saga}),
        event(trace_id, "pay", "stage:pay:started", at + 0.1, "wf"),
        event(trace_id, "pay", "stage:pay:failed", at + 0.2, "wf", data=error),
        event(trace_id, "wf", f"workflow:{saga}:failed", at + 0.3, data={"error": "no payment"}),
    ]


def shop() -> UnreliableStore:
    """Return six sagas of the last minute, and two of days ago."""
    return UnreliableStore(
        [
            *failed("loan-1", 1), *failed("loan-2", 20), *refused("order-1", 30), *succeeded("loan-3", 40),
            *running("loan-4", 50), *refused("order-2", 60), *failed("old-1", -2 * DAY), *refused("old-2", -3 * DAY),
        ]
    )  # fmt: skip


def is_read(app: SagatraceApp) -> bool:
    """Return whether the whole list is on screen, each trace with its verdict."""
    text = screen_text(app)
    return "traces · " in text and "reading" not in text


def lines(app: SagatraceApp) -> list[str]:
    return [line.rstrip() for line in screen_text(app).splitlines()]
