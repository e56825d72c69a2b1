"""Send one slice to the store: each trace in order, several traces in parallel, a bad event alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from sagatrace.errors import StoreError, StoreUnavailableError
from sagatrace.event import TraceEvent
from sagatrace.shipper.segment import Line
from sagatrace.shown import logger
from sagatrace.stores import AppendError, EventStore

__all__ = ["Delivery", "Outcome"]

log: Final = logger("sagatrace.shipper")

_BATCH: Final = 100  # events of one trace in one call: the limit of a Cosmos DB batch
_STRIKES: Final = 4  # how often one event may fail with an unexpected error


@dataclass(slots=True)
class Outcome:
    """The result of sending events. `fault` is the reason why the rest waits, `retry_after` the seconds to wait."""

    delivered: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)  # with the reason
    fault: str | None = None
    retry_after: float | None = None

    def add(self, other: Outcome) -> None:
        """Add another outcome. Keep the first fault and the longest wait."""
        self.delivered += other.delivered
        self.refused += other.refused
        self.fault = self.fault or other.fault
        if other.retry_after is not None:
            self.retry_after = max(self.retry_after or 0.0, other.retry_after)


@dataclass(slots=True)
class _Trace:
    """The unsent events of one trace, in order, as (replace, events)."""

    batches: deque[tuple[bool, list[TraceEvent]]] = field(default_factory=deque)
    strikes: int = 0
    failed: bool = False
    sent_again: bool = False


class Delivery:
    """The events in memory that are being delivered.

    `stored` is called with the events that the store has. Its second argument is whether the store may hold other
    events with these ids, since without `replace` the store keeps the first event of an id. With `parallel` 1, traces
    share a call until one fails, because a transaction is the main cost of a local file.
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
        self._stored = stored or _ignore
        self._is_over = is_over
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="ship") if parallel > 1 else None
        self._traces: list[_Trace] = []
        self._halted = False

    @property
    def done(self) -> bool:
        """Whether all events were sent."""
        return not self._traces

    def load(self, lines: Iterable[Line]) -> None:
        """Take the lines of the next slice, after the previous slice is done."""
        traces: dict[str, _Trace] = {}
        for line in lines:
            batches = traces.setdefault(line.event.trace_id, _Trace()).batches
            if not batches or batches[-1][0] != line.replace or len(batches[-1][1]) >= _BATCH:
                batches.append((line.replace, []))
            batches[-1][1].append(line.event)
        self._traces = list(traces.values())

    def send(self) -> Outcome:
        """Send the unsent events. A fault of the store stops all traces, a fault of one event only its trace."""
        self._halted = False
        total = Outcome()
        if self._pool is None and not any(trace.failed for trace in self._traces):
            self._send_together(total)
        if self._halted:  # the traces are marked as failed: next time each is sent alone
            outcomes = []
        elif self._pool is None or len(self._traces) == 1:
            outcomes = list(map(self._send, self._traces))
        else:
            outcomes = list(self._pool.map(self._send, self._traces))
        for outcome in outcomes:
            total.add(outcome)
        # Failed traces come last the next time, so that they do not delay others.
        self._traces = sorted((trace for trace in self._traces if trace.batches), key=lambda trace: trace.failed)
        return total

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _send_together(self, outcome: Outcome) -> None:
        """Send the next batch of each trace in one call, repeatedly. After a failure each trace is sent alone."""
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
            except Exception as error:  # noqa: BLE001 - `_send` logs it if it happens again
                log.info("%d traces are sent one by one: %s", len(sent), repr(error))
                return
            for trace in sent:
                trace.batches.popleft()
                trace.sent_again = sent_again
            self._report(replace, events, new, sent_again=sent_again)
            outcome.delivered += len(events)

    def _send(self, trace: _Trace) -> Outcome:
        outcome = Outcome()
        trace.failed = False
        while trace.batches and not self._halted and not self._is_over():
            replace, events = trace.batches.popleft()
            try:
                new = self._store.append(events, replace=replace)
                self._report(replace, events, new, sent_again=trace.sent_again)
                outcome.delivered += len(events)
                trace.strikes = 0
            except StoreError as error:
                self._part_stored(trace, replace, events, error, outcome)
            except Exception as error:  # noqa: BLE001 - an unexpected error of a store must not end the shipper
                self._struck(trace, replace, events, error, outcome)
            if trace.failed:
                break
        return outcome

    def _report(self, replace: bool, events: list[TraceEvent], new: int, *, sent_again: bool) -> None:
        """Call `stored` with events that are new in the store, or that an earlier attempt may have stored."""
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
            self._report(replace, stored, error.new, sent_again=trace.sent_again)
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
        """Handle an unexpected error. If one event is its cause, it must not delay the others."""
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


def _ignore(events: Sequence[TraceEvent], doubtful: bool) -> None:
    """Do nothing."""
