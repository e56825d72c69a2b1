"""One trace, kept true to the store."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Final

from sagatrace.mirror import Heard, Mirror, Subscriber
from sagatrace.stores import EventStore
from sagatrace_tui.live.following import following, seconds_between_looks
from sagatrace_tui.live.partition import Partition
from sagatrace_tui.live.reading import AFRESH, INTERVAL, LOOK, Clock, Meter, OpenTrace, in_words, wall_clock
from sagatrace_tui.live.twins import Twins
from sagatrace_tui.model import Trace
from sagatrace_tui.model.undisturbed import undisturbed

__all__ = ["MANY", "TraceFeed"]

MANY: Final = 20_000
"""Events of a trace from which on the cyclic collector is told to look at them no more."""


class TraceFeed:
    """One trace of a store; the same `Trace` object again for as long as nothing changed.

    The store is read once, then only what is new: now and then, and at once when the mirror may have missed something.
    What the mirror tells is merged by event id. A trace that has ended is read whole once more.
    """

    def __init__(self, store: EventStore, trace_id: str, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._known = Partition(store, trace_id)
        self._twins = Twins()
        self._subscriber: Subscriber | None = None
        self._heard: Heard | None = None
        self._behind = True  # the store is to be read, however recently it was
        self._look_at = self._retry_at = 0.0  # a look that failed is not tried again for every event that is heard
        self._every = INTERVAL
        self._cost = Meter(clock)  # of the last reading that asked the store
        self._checked: Trace | None = None
        self._fault: str | None = None  # until the store has been read again

    def listen(self, mirror: Mirror, wake: Callable[[], object]) -> None:
        """Hear what is published from now on; `wake` is called, in another thread, when there is news."""
        self.deafen()
        self._subscriber = Subscriber(mirror, self._known.trace_id, wake)
        self._subscriber.start()

    def deafen(self) -> None:
        """Hear nothing more."""
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            subscriber.stop()

    @property
    def arrived(self) -> int:
        """Events that have come so far of the reading under way; any thread may ask."""
        return self._known.arrived

    def give_up(self) -> None:
        """Nobody waits any more: a reading that takes long ends."""
        self._known.given_up = True

    def shown(self, trace: Trace | None) -> None:
        """The screen shows this trace now: the one before may change again."""
        self._twins.shown(trace)

    @property
    def is_waiting(self) -> bool:
        """Whether there is more than was yielded, for want of being shown."""
        return self._twins.is_waiting

    def read(self, wishes: frozenset[str] = frozenset()) -> Iterator[OpenTrace]:
        """Take up what was heard and, if it is time, what is new in the store; or say what failed."""
        meter = Meter(self._clock)
        try:
            with undisturbed():
                if LOOK in wishes:
                    self._behind, self._retry_at = True, 0.0
                self._take_in(meter, afresh=AFRESH in wishes)
        except Exception as error:  # noqa: BLE001 - shown where it happened, and the next reading tries again
            self._fault = in_words(error)
        twins = self._twins
        self._cost = meter if meter.queries else self._cost
        yield OpenTrace(
            twins.front,
            twins.outline,
            self._clock(),
            self._cost.queries,
            self._cost.micros,
            self._fault,
            following(self._heard, behind=self._behind, every=self._every),
            len(self._known.events),
            twins.fresh,
            twins.hold,
        )

    def _take_in(self, meter: Meter, *, afresh: bool) -> None:
        subscriber, twins, known = self._subscriber, self._twins, self._known
        self._heard = subscriber.take() if subscriber is not None else None
        if self._heard is not None and known.is_read:  # else the reading that is due has it all
            news = known.hear(self._heard.events)
            twins.wait(news.added)
            self._behind |= news.doubtful
        if self._heard is not None:
            self._behind |= self._heard.missed
        rewritten = False
        to_check = known.is_read and twins.front is not self._checked and self._has_ended()
        whole = afresh or to_check or not known.is_read
        at = time.monotonic()
        try:
            if afresh or at >= self._look_at or (at >= self._retry_at and (to_check or self._behind)):
                rewritten = self._look(meter, whole=whole)
                self._checked = None if whole else self._checked
        finally:  # what was heard is shown, whatever becomes of the store
            if known.is_read:
                self._bring_up(anew=rewritten or afresh)
        if self._checked is None:
            self._checked = twins.front

    def _bring_up(self, *, anew: bool) -> None:
        twins, known, now = self._twins, self._known, self._clock()
        if twins.front is None or anew:
            twins.replace(known.folded(now))
        elif twins.is_waiting or self._fell_silent(now):
            twins.turn(lambda: known.folded(now), now)

    def _look(self, meter: Meter, *, whole: bool) -> bool:
        """Read the store; whether something known is other now."""
        began = time.monotonic()
        try:
            news = self._known.look(meter, whole=whole)
        finally:
            took = time.monotonic() - began
            least = max(INTERVAL, 10 * took)  # a tenth of the time at most is spent on it
            self._every = seconds_between_looks(
                self._heard, free=self._known.tells_for_free, over=self._has_ended(), least=least
            )
            self._look_at = self._retry_at = began + took + self._every
        self._behind, self._retry_at, self._fault = False, 0.0, None
        self._twins.wait(news.added)
        if whole and len(self._known.events) >= MANY:
            gc.freeze()  # before the collector is back, or it would begin with these
        return news.rewritten

    def _has_ended(self) -> bool:
        front = self._twins.front
        return front is not None and front.status != "running" and not self._twins.is_waiting

    def _fell_silent(self, now: int) -> bool:
        """A running trace ends by silence as well."""
        front = self._twins.front
        return front is not None and front.status == "running" and front.is_idle(now)
