"""What undos left behind: spans below them that ended ill or are open, kept per undo as events come."""

from __future__ import annotations

from collections.abc import Iterator

from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.failures import Failures
from sagatrace_tui.model.fold import Fold
from sagatrace_tui.model.span import Span

__all__ = ["Leftovers"]


class Leftovers:
    """Per undo, the spans below it that speak against its word that it went well."""

    def __init__(self, fold: Fold, census: Census, areas: Areas, failures: Failures) -> None:
        self._spans, self._census, self._areas, self._failures = fold.spans, census, areas, failures
        self._ill: dict[str, set[str]] = {}
        self._open: dict[str, set[str]] = {}
        for span_id in (census.failed | census.halted | census.open) & areas.owner.keys():
            self.update(span_id)

    def update(self, span_id: str) -> None:
        """Take a change of a span that belongs to the undoing."""
        is_ill = span_id in self._census.failed or span_id in self._census.halted
        for undo_id in self._areas.outer(span_id):
            if undo_id != span_id:
                _keep(self._ill, undo_id, span_id, there=is_ill)
                _keep(self._open, undo_id, span_id, there=span_id in self._census.open)

    def went_wrong(self, undo_id: str) -> bool:
        """Whether anything below an undo that says it went well ended ill after that, or will never run."""
        if not (self._ill.get(undo_id) or self._open.get(undo_id)):
            return False
        return any(True for _ in self.ended_ill(undo_id)) or any(True for _ in self.lost(undo_id))

    def still_open(self, undo_id: str) -> bool:
        """Whether anything below it is still to end."""
        return bool(self._open.get(undo_id))

    def ended_ill(self, undo_id: str) -> Iterator[Span]:
        """The spans below it that ended ill once it had said that it was done, and that nothing made good."""
        over_at = self._spans[undo_id].over_at
        for span_id in self._ill.get(undo_id, ()):
            span = self._spans[span_id]
            if not span.was_over_by(over_at) and not self._failures.made_good_within(span_id, undo_id):
                yield span

    def lost(self, undo_id: str) -> Iterator[tuple[Span, Span]]:
        """The spans below it that will never run, each with the one it waits for in vain."""
        never_ran, waiting = self._failures.never_ran(), self._open.get(undo_id, set())
        fewer, others = (waiting, never_ran) if len(waiting) < len(never_ran) else (never_ran, waiting)
        return ((self._spans[one], self._spans[never_ran[one]]) for one in fewer if one in others)


def _keep(groups: dict[str, set[str]], undo_id: str, span_id: str, *, there: bool) -> None:
    if there:
        groups.setdefault(undo_id, set()).add(span_id)
    elif undo_id in groups:
        groups[undo_id].discard(span_id)
