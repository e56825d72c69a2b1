"""Why a trace failed: which failed spans matter, which of them is the cause, and how it reached the top.

A failure matters ("is live") unless it belongs to the undoing or was made good: by an ancestor that ended well
after it, or by a later sibling of the same name, be it its own or that of a span above it. What is live is kept as
events come; everything that follows from it (roles, path) is worked out when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Final, Literal

from sagatrace_tui.model.census import Areas, Census
from sagatrace_tui.model.event_data import facts_of
from sagatrace_tui.model.fold import Change, Fold
from sagatrace_tui.model.retries import Retries
from sagatrace_tui.model.span import Span
from sagatrace_tui.model.tree import Forest

__all__ = ["Failures", "Role", "When", "ending_of", "in_order"]

Role = Literal["cause", "consequence", "independent", "recovered", "compensation"]

When = tuple[int, int, str]
"""When something happened: microseconds, then `seq` for equal times, then the span's id."""

_NEVER: Final = -(2**63)


def ending_of(fold: Fold, span_id: str) -> When:
    """When a span ended, in a form that orders spans."""
    closing = fold.spans[span_id].closing_event
    seq = facts_of(closing).seq
    return closing.micros, seq if isinstance(seq, int) else 0, span_id


class Failures:
    """The failed spans of a trace, and which of them are live. `live` gives for each when it failed."""

    def __init__(self, fold: Fold, forest: Forest, census: Census, areas: Areas) -> None:
        self._fold, self._forest, self._census, self._areas = fold, forest, census, areas
        self._retries = Retries(fold, forest)
        self.live: dict[str, When] = {}
        self.made_good: set[str] = set()  # the others, but for those of the undoing
        self._below: dict[str, int] = {}  # per span, how many of its children are live or have live spans below
        self._leaves: list[tuple[When, str]] = []  # a heap; may hold entries that are out of date
        self._stale: set[str] = set(census.failed)
        self._replaced: dict[str, int] = {}  # failed spans that a sibling made good, each with its end
        self._dependencies: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[str, set[str]] = {}  # per span, the queued spans that wait for it
        self._never_ran: dict[str, str] | None = None
        for span_id in census.open:
            self._await(span_id)

    def update(self, change: Change) -> None:
        """Take a change of one span, and note which failures it may have touched."""
        span_id, now = change.span.span_id, change.span.status
        if "failed" in (now, change.was):
            self._stale.add(span_id)
        if change.was is None and (parent := self._forest.parent_of(span_id)) in self._census.failed:
            self._stale.add(parent)  # whether a sibling made it good counts from now on
        if now == "success" and span_id in self._below:  # also where it was one before, but as a mere instant
            self._stale.update(self._live_below(span_id))
        if change.was == "success" and (now != "success" or change.span.state.odd):
            self._stale.update(self._census.failed)
        self._stale.update(self._retries.update(change))
        if "queued" in (now, change.was):
            self._await(span_id)
        if span_id in self._waiting:
            self._never_ran = None

    def settle(self) -> None:
        """Decide anew which of the touched failures are live."""
        made_good: dict[str, int] = {}
        for span_id in [one for one in self._fold.in_turn(self._stale) if self._note_replaced(one)]:
            self._stale.update(one for one in self._forest.below(span_id) if one in self._census.failed)
        for span_id in self._fold.in_turn(self._stale):
            live = span_id in self._census.failed and self._is_live(span_id, made_good)
            when = ending_of(self._fold, span_id) if live else None
            if span_id in self._census.failed and not live and span_id not in self._areas.owner:
                self.made_good.add(span_id)
            else:
                self.made_good.discard(span_id)
            if when != self.live.get(span_id):
                self._quench(span_id)
                if when is not None:
                    self._kindle(span_id, when)
        self._stale.clear()

    def _note_replaced(self, span_id: str) -> bool:
        """Note whether a sibling made a failure good; True when that changed for what is below it as well."""
        if span_id not in self._forest.children:
            return False
        is_failure = span_id in self._census.failed and span_id not in self._areas.owner
        is_replaced = is_failure and self._retries.superseded(span_id)
        at, was = self._fold.spans[span_id].over_at if is_replaced else None, self._replaced.pop(span_id, None)
        if at is not None:
            self._replaced[span_id] = at
        return at != was

    def _is_live(self, span_id: str, made_good: dict[str, int]) -> bool:
        if span_id in self._areas.owner or span_id in self._replaced:
            return False
        if self._fold.spans[span_id].was_over_by(self._made_good_until(span_id, made_good)):
            return False
        # Looking at siblings costs more: of what has nothing below it, it is asked only where nothing above it tells.
        return span_id in self._forest.children or not self._retries.superseded(span_id)

    def _made_good_until(self, span_id: str, known: dict[str, int]) -> int:
        """The latest end of an ancestor that ended well, or was replaced: what failed by then is dealt with."""

        def pass_on(above: str, latest: int) -> int:
            if (replaced := self._replaced.get(above)) is not None:
                return max(latest, replaced)
            span = self._fold.spans[above]
            return max(latest, span.over_at) if span.status == "success" and span.kind != "point" else latest

        return self._forest.inherited(span_id, known, _NEVER, pass_on)

    def _live_below(self, span_id: str) -> Iterator[str]:
        waiting = [span_id]
        while waiting:
            for child in self._forest.children.get(waiting.pop(), ()):
                if child in self.live:
                    yield child
                if child in self._below:
                    waiting.append(child)

    def adopt(self, span_id: str) -> None:
        """Take a span that comes after its children: what is live below it now reaches further up."""
        if hot := sum(map(self.reaches, self._forest.children[span_id])):
            self._below[span_id] = hot
            self._climb(span_id)
            self._stale.update(self._live_below(span_id))

    def _kindle(self, span_id: str, when: When) -> None:
        was = self.reaches(span_id)
        self.live[span_id] = when
        heappush(self._leaves, (when, span_id))
        if not was:
            self._climb(span_id)

    def _climb(self, span_id: str) -> None:
        for above in self._forest.ancestors_of(span_id):
            was = self.reaches(above)
            self._below[above] = self._below.get(above, 0) + 1
            if was:
                break

    def _quench(self, span_id: str) -> None:
        if self.live.pop(span_id, None) is None or self.reaches(span_id):
            return
        for above in self._forest.ancestors_of(span_id):
            self._below[above] -= 1
            if not self._below[above]:
                del self._below[above]
                if above in self.live:
                    heappush(self._leaves, (self.live[above], above))
            if self.reaches(above):
                break

    def reaches(self, span_id: str) -> bool:
        """Whether the span is a live failure, or one is below it."""
        return span_id in self.live or span_id in self._below

    def cause(self) -> str | None:
        """The live failure with none below it that came first."""
        while self._leaves:
            when, span_id = self._leaves[0]
            if self.live.get(span_id) == when and span_id not in self._below:
                return span_id
            heappop(self._leaves)
        return None

    def path(self) -> list[str]:
        """From the root to the cause."""
        cause = self.cause()
        return [] if cause is None else [cause, *self._forest.ancestors_of(cause)][::-1]

    def roles(self) -> dict[str, Role]:
        """Each failed span's role; and `recovered` for spans that ended well after an attempt that failed."""
        cause = self.cause()
        roles: dict[str, Role] = {}
        for span_id in self._census.failed:
            if span_id == cause:
                roles[span_id] = "cause"
            elif span_id in self.live:
                follows = span_id in self._below or self._waited_for_a_failure(span_id)
                roles[span_id] = "consequence" if follows else "independent"
            elif span_id in self._areas.owner and not self._undone_after_all(span_id):
                roles[span_id] = "compensation"
            else:
                roles[span_id] = "recovered"
        for span_id in self._census.recovered:
            roles[span_id] = "recovered"
        return roles

    def _waited_for_a_failure(self, span_id: str) -> bool:
        return any(one in self.live for one in self._fold.spans[span_id].dependencies)

    def _undone_after_all(self, span_id: str) -> bool:
        """Whether a failure in the undoing was made good: inside its undo, by a retry, or by another undo."""
        if self.made_good_within(span_id):
            return True
        undos = (self._fold.spans[one] for one in self._areas.outer(span_id))
        return any(undo.original_span_id is not None and self._redone(undo.span_id) for undo in undos)

    def made_good_within(self, span_id: str, undo_id: str | None = None) -> bool:
        """Whether a failure in the undoing was made good there, below that undo: by a retry, or by a span around it.

        An undo that names a step answers for that step, which no good end of what it is part of has undone.
        """
        span = around = self._fold.spans[span_id]
        if self._is_replaced(span):
            return True
        for above in self._forest.ancestors_of(span_id):
            if above == undo_id or above not in self._areas.owner or around.original_span_id is not None:
                break
            around = self._fold.spans[above]
            if (around.status == "success" or self._is_replaced(around)) and span.was_over_by(around.over_at):
                return True
        return False

    def _is_replaced(self, span: Span) -> bool:
        return span.status == "failed" and self._retries.superseded(span.span_id)

    def _redone(self, undo_id: str) -> bool:
        undo = self._fold.spans[undo_id]
        others = map(self._fold.spans.__getitem__, self._census.undos_of.get(undo.original_span_id or "", ()))
        return undo.status != "success" and any(
            other.status == "success" and other.over_at >= undo.over_at for other in others
        )

    def never_ran(self) -> Mapping[str, str]:
        """Queued spans that will never start, each with the dependency that failed, or never ran itself."""
        if self._never_ran is None:
            self._never_ran = self._find_never_ran()
        return self._never_ran

    def _find_never_ran(self) -> dict[str, str]:
        found: dict[str, str] = {}
        spread = [one for one in self._waiting if one in self._census.failed or one in self._census.halted]
        spread.sort(reverse=True)
        while spread:
            dependency = spread.pop()
            for span_id in sorted(self._waiting.get(dependency, ())):
                if span_id not in found:
                    found[span_id] = dependency
                    spread.append(span_id)
        return found

    def _await(self, span_id: str) -> None:
        """Note which spans a queued one waits for."""
        span, waited_for = self._fold.spans[span_id], self._dependencies.pop(span_id, ())
        dependencies = span.dependencies if span.status == "queued" and not span.has_begun else ()
        if waited_for or dependencies:
            self._never_ran = None
        for dependency in waited_for:
            self._waiting[dependency].discard(span_id)
            if not self._waiting[dependency]:
                del self._waiting[dependency]
        if dependencies:
            self._dependencies[span_id] = dependencies
            for dependency in dependencies:
                self._waiting.setdefault(dependency, set()).add(span_id)


def in_order(fold: Fold, span_ids: Iterable[str]) -> list[str]:
    """The spans by when they ended."""
    return sorted(span_ids, key=lambda span_id: ending_of(fold, span_id))
