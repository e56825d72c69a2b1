"""Rows of a trace with keys that go from error to error, match to match, and to the slowest spans."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.worker import get_current_worker

from sagatrace_tui.labels import duration, plural
from sagatrace_tui.model import Trace
from sagatrace_tui.timers import call_after_drawing, call_once
from sagatrace_tui.views.landmarks import Landmarks, errors, landmarks
from sagatrace_tui.views.outline import Outline
from sagatrace_tui.widgets.folding_rows import FoldingRows, holds

__all__ = ["WalkingRows"]

_LARGE: Final = 5_000
"""Nodes from which a thread finds the landmarks, so that no key waits."""
_PAUSE: Final = 2.0
"""The fewest seconds between two such searches. A busy trace changes several times a second."""


class WalkingRows(FoldingRows):
    """Holds the places that keys go to. `matches` are the ids of the spans found."""

    matches: reactive[frozenset[str]] = reactive(frozenset(), repaint=False, init=False)

    class Notified(Message):
        """A note about a key: why it changed nothing, or a change that may be out of sight."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Measured(Message):
        """The landmarks of a large trace are ready."""

        def __init__(self, found: Landmarks) -> None:
            super().__init__()
            self.found = found

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._errors: list[int] = []
        self._found: list[int] = []  # the places of the matches, in order
        self._landmarks: Landmarks | None = None  # None until they are ready
        self._measure_at = 0.0  # the earliest time of the next search for landmarks, by the monotonic clock
        self._measuring: Timer | None = None  # the next search, if one is due
        self._slowest_at: str | None = None  # the slow span that the last key went to

    @property
    def error_place(self) -> tuple[int, int]:
        """(number of the error under the cursor, or 0; number of errors). Counting starts at the cause."""
        which, count = self._place_among(self._errors)
        cause = self.trace.cause if self.trace is not None else None
        if not which or cause is None or self.outline is None:
            return which, count
        above = bisect_left(self._errors, self.outline.places.get(cause.span_id, 0))
        return (which - 1 - above) % count + 1, count

    @property
    def match_place(self) -> tuple[int, int]:
        """(number of the match under the cursor, or 0; number of matches)."""
        return self._place_among(self._found)

    def _place_among(self, places: Sequence[int]) -> tuple[int, int]:
        here = self._rows[self.cursor] if len(self._rows) else -1
        return (bisect_left(places, here) + 1 if holds(places, here) else 0, len(places))

    def _place_matches(self) -> None:
        places = self.outline.places if self.outline is not None and self.matches else {}
        self._found = sorted(places[one] for one in self.matches if one in places)

    def _find_places(self, trace: Trace, outline: Outline) -> None:
        """Find the places of a trace. A thread finds the landmarks of a large trace."""
        self._errors = errors(trace, outline)
        self._place_matches()
        if len(outline.ids) < _LARGE:
            self._landmarks = landmarks(trace, outline)
        elif self._measuring is None:
            # After the drawing: the thread would slow it down by half.
            wait = max(0.01, self._measure_at - time.monotonic())
            self._measuring = call_once(self, wait, lambda: call_after_drawing(self, self._measure))

    def _measure(self) -> None:
        """Find the landmarks of the current trace in a thread."""
        self._measuring, self._measure_at = None, time.monotonic() + _PAUSE
        subject = self.subject
        if subject is None:
            return

        def find() -> None:
            found, worker = landmarks(*subject), get_current_worker()
            if not worker.is_cancelled:
                self.post_message(self.Measured(found))

        self.run_worker(find, thread=True, exclusive=True, group="landmarks")

    def on_walking_rows_measured(self, message: Measured) -> None:
        """Show the critical path."""
        self._landmarks = message.found
        self.redraw()

    def action_error(self, step: int) -> None:
        """Go to the next (1) or previous (-1) failed span. After the last comes the first."""
        self._step(self._errors, step, self.nothing_failed)

    @property
    def nothing_failed(self) -> str:
        """The note for a key that leads to failures when there are none that count."""
        trace = self.trace
        if trace is not None and (recovered := list(trace.roles.values()).count("recovered")):
            return f"No failure remains: {plural(recovered, 'failure')} recovered"
        is_running = trace is not None and trace.status == "running"
        return "Nothing has failed so far" if is_running else "Nothing failed in this trace"

    def action_match(self, step: int) -> None:
        """Go to the next (1) or previous (-1) match."""
        self._step(self._found, step, self.nothing_found)

    nothing_found = "No match: press / to find text"
    """The note for a key that leads to matches when there are none."""

    def _step(self, places: Sequence[int], step: int, without: str) -> None:
        if self.outline is None or not places:
            self.post_message(self.Notified(without))
            return
        here = self._rows[self.cursor] if len(self._rows) else -1
        at = bisect_right(places, here) if step > 0 else bisect_left(places, here) - 1
        self.go_to(self.outline.ids[places[at % len(places)]])

    def action_slowest(self) -> None:
        """Go to the slowest span by its own time; again, to the next slowest."""
        if self._landmarks is None:
            self.post_message(self.Notified("The spans are still being measured"))
            return
        slowest = self._landmarks.slowest
        if not slowest:
            self.post_message(self.Notified("No span has taken any time"))
            return
        ids = [span_id for span_id, _ in slowest]
        here = self.highlighted
        at = (ids.index(here) + 1) % len(ids) if here in ids and here == self._slowest_at else 0
        span_id, took = slowest[at]
        self._slowest_at = span_id
        self.go_to(span_id)
        self.post_message(self.Notified(f"slowest {at + 1} of {len(ids)}: {duration(took)} of its own"))
