"""Sends one slice to the store: each trace in order, several traces at once, a bad event by itself."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from sagatrace.errors import StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.shipper.segment import Line
from sagatrace.stores import AppendError, EventStore

__all__ = ["Delivery", "Outcome"]

log: Final = logging.getLogger("sagatrace.shipper")

_BATCH: Final = 100  # events of one trace in one call: what a Cosmos DB batch takes
_STRIKES: Final = 4  # times that one event may fail with an error no store announces


@dataclass(slots=True)
class Outcome:
    """What became of the events sent: `fault` says why the rest has to wait, `retry_after` how many seconds."""

    delivered: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)  # with the reason
    fault: str | None = None
    retry_after: float | None = None

    def add(self, other: Outcome) -> None:
        """Count another outcome in; the first fault stands, the longest wait counts."""
        self.delivered += other.delivered
        self.refused += other.refused
        self.fault = self.fault or other.fault
        if other.retry_after is not None:
            self.retry_after = max(self.retry_after or 0.0, other.retry_after)


@dataclass(slots=True)
class _Trace:
    """What of one trace is still to be sent, in order, as (replace, events)."""

    batches: deque[tuple[bool, list[TraceEvent]]] = field(default_factory=deque)
    strikes: int = 0
    failed: bool = False
    sent_again: bool = False


class Delivery:
    """The events that are in memory, on their way to the store; `stored` is told those that arrived.

    With it goes whether the store may have others under their ids: it keeps the first where none is to replace it.
    With `parallel` 1 traces share a call until one fails: what a local file takes its time for is the transaction.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        parallel: int,
        is_over: Callable[[], bool],
        stored: Callable[[Sequence[TraceEvent], bool], object] | None = None,
    ) -> None:
        self._store = store
        self._stored = stored or _keep_quiet
        self._is_over = is_over
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="ship") if parallel > 1 else None
        self._traces: list[_Trace] = []
        self._halted = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to be sent."""
        return not self._traces

    def load(self, lines: Iterable[Line]) -> None:
        """Take up a slice, once the one before is done."""
        traces: dict[str, _Trace] = {}
        for line in lines:
            batches = traces.setdefault(line.event.trace_id, _Trace()).batches
            if not batches or batches[-1][0] != line.replace or len(batches[-1][1]) >= _BATCH:
                batches.append((line.replace, []))
            batches[-1][1].append(line.event)
        self._traces = list(traces.values())

    def send(self) -> Outcome:
        """Send what is left; a fault of the store's stops all, one of a single event's only its trace."""
        self._halted = False
        total = Outcome()
        if self._pool is None and not any(trace.failed for trace in self._traces):
            self._send_together(total)
        if self._halted:  # they are marked as failed: next time each is sent by itself
            outcomes = []
        elif self._pool is None or len(self._traces) == 1:
            outcomes = list(map(self._send, self._traces))
        else:
            outcomes = list(self._pool.map(self._send, self._traces))
        for outcome in outcomes:
            total.add(outcome)
        # Those that failed come last the next time, so that they hold up nobody.
        self._traces = sorted((trace for trace in self._traces if trace.batches), key=lambda trace: trace.failed)
        return total

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _send_together(self, outcome: Outcome) -> None:
        """In one call what each trace goes on with, as long as all is taken; whose fault it is each finds out alone."""
        while not self._halted and not self._is_over():
            replace = next((trace.batches[0][0] for trace in self._traces if trace.batches), None)
            if replace is None:
                return
            sent = [trace for trace in self._traces if trace.batches and trace.batches[0][0] == replace]
            events = [event for trace in sent for event in trace.batches[0][1]]
            sent_again = any(trace.sent_again for trace in sent)
            for trace in sent:
                trace.sent_again = True
            try:
                new = self._store.append(events, replace=replace)
            except AppendError as error:
                log.info("%d traces are sent one by one: %s", len(sent), error)
                return
            except StoreError as error:
                self._halted = True
                for trace in sent:
                    trace.failed = True
                outcome.add(Outcome(fault=str(error), retry_after=getattr(error, "retry_after", None)))
                return
            except Exception as error:  # noqa: BLE001 - as in `_send`, where it is logged if it comes again
                log.info("%d traces are sent one by one: %r", len(sent), error)
                return
            for trace in sent:
                trace.batches.popleft()
                trace.sent_again = sent_again
            self._tell(replace, events, new, sent_again=sent_again)
            outcome.delivered += len(events)

    def _send(self, trace: _Trace) -> Outcome:
        outcome = Outcome()
        trace.failed = False
        while trace.batches and not self._halted and not self._is_over():
            replace, events = trace.batches.popleft()
            try:
                new = self._store.append(events, replace=replace)
                self._tell(replace, events, new, sent_again=trace.sent_again)
                outcome.delivered += len(events)
                trace.strikes = 0
            except StoreError as error:
                self._part_stored(trace, replace, events, error, outcome)
            except Exception as error:  # noqa: BLE001 - what a store forgot to announce must not end the shipper
                self._struck(trace, replace, events, error, outcome)
            if trace.failed:
                break
        return outcome

    def _tell(self, replace: bool, events: list[TraceEvent], new: int, *, sent_again: bool) -> None:
        """Pass on what arrived: not what the store had before, unless an earlier try may have brought it there."""
        if replace or new == len(events):
            self._stored(events, False)
        elif new or sent_again:
            self._stored(events, True)

    def _part_stored(
        self, trace: _Trace, replace: bool, events: list[TraceEvent], error: StoreError, outcome: Outcome
    ) -> None:
        pending = events
        if isinstance(error, AppendError):
            pending = list(error.pending)
            outcome.refused += [(Line(refused.event, replace), refused.reason) for refused in error.refused]
            outcome.delivered += len(events) - len(pending) - len(error.refused)
            left = {event.id for event in (*pending, *(refused.event for refused in error.refused))}
            stored = [event for event in events if event.id not in left]
            self._tell(replace, stored, error.new, sent_again=trace.sent_again)
            if not pending:
                return
        if isinstance(error, (AppendError, StoreUnavailableError)):
            outcome.retry_after = error.retry_after
        trace.batches.appendleft((replace, pending))
        trace.failed = trace.sent_again = self._halted = True
        outcome.fault = str(error)

    def _struck(
        self, trace: _Trace, replace: bool, events: list[TraceEvent], error: Exception, outcome: Outcome
    ) -> None:
        """An error that no store announces: may be a fault of one event's, and must not hold up its neighbours."""
        if len(events) > 1:
            trace.batches.extendleft((replace, [event]) for event in reversed(events))
            trace.sent_again = True
            return
        trace.strikes += 1
        log.error(
            "event %s of trace %s failed %d times", events[0].id, events[0].trace_id, trace.strikes, exc_info=error
        )
        if trace.strikes >= _STRIKES:
            trace.strikes = 0
            outcome.refused.append((Line(events[0], replace), f"{type(error).__name__}: {error}"))
            return
        trace.batches.appendleft((replace, events))
        trace.failed = trace.sent_again = True
        outcome.fault = f"{type(error).__name__}: {error}"


def _keep_quiet(events: Sequence[TraceEvent], doubtful: bool) -> None:
    """Nobody wants to know."""
