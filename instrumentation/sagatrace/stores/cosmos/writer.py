"""Write events: a transactional batch per trace, or single writes if the service refuses a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError
from azure.cosmos.exceptions import CosmosBatchOperationError

from sagatrace.coercion import require_storable_id
from sagatrace.errors import EventError, StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import AppendError, RefusedEvent
from sagatrace.stores.codec import document_of
from sagatrace.stores.cosmos.errors import ACTIVITY, EventRefusedError, ServiceFailedError, answer_was_lost, failure_of
from sagatrace.stores.cosmos.fitting import encoded_size, fitted
from sagatrace.stores.cosmos.queries import stored_timestamp
from sagatrace.stores.cosmos.transport import ForeignAnswerError

if TYPE_CHECKING:
    from sagatrace.stores.cosmos.call import Call
    from sagatrace.stores.cosmos.connection import Connection
    from sagatrace.stores.cosmos.store import CosmosStore

_T = TypeVar("_T")

__all__ = ["BATCH_BYTES", "BATCH_OPERATIONS", "Writer", "remove_one"]

BATCH_OPERATIONS: Final = 100
BATCH_BYTES: Final = 2_000_000
_OPERATION_BYTES: Final = 60  # bytes that a batch adds to each document
_STORED: Final = {"create": frozenset({201}), "upsert": frozenset({200, 201})}
_THERE: Final = 409


@dataclass(slots=True)
class _Item:
    """One event to be written. `sent`: an earlier request may have stored it although its response was lost."""

    event: TraceEvent
    document: dict[str, Any]
    size: int
    sent: bool = False


_Left = tuple[list[_Item], StoreError | None]  # the items that were not stored, and the error


class Writer:
    """One append: its new, refused and pending events, and its calls."""

    def __init__(self, store: CosmosStore, *, replace: bool) -> None:
        self._store = store
        self._replace = replace
        self._new = 0
        self._refused: list[RefusedEvent] = []
        self.calls: list[Call] = []

    def write(self, events: list[TraceEvent], *, deadline: float) -> int:
        """Store the events and return how many were new. Raises AppendError."""
        batches = [batch for items in self._by_trace(events) for batch in _batches(items)]
        pending: list[_Item] = []
        cause: StoreError | None = None
        for position, batch in enumerate(batches):
            left, failure = self._write_batch(batch, deadline)
            pending += left
            cause = failure or cause
            if failure is not None and not isinstance(failure, ServiceFailedError):
                pending += [item for later in batches[position + 1 :] for item in later]
                break
        if self._refused or cause is not None:
            raise self._error([item.event for item in pending], cause)
        return self._new

    def _by_trace(self, events: Iterable[TraceEvent]) -> Iterable[list[_Item]]:
        """Return the events of each trace as documents that fit, each (trace_id, id) once."""
        unique: dict[tuple[str, str], TraceEvent] = {}
        for event in events:
            key = (event.trace_id, event.id)
            if self._replace:
                unique[key] = event
            else:
                unique.setdefault(key, event)
        traces: dict[str, list[_Item]] = {}
        for event in unique.values():
            try:
                require_storable_id(event.id)
            except EventError as error:  # an older version wrote it, or it is from another store
                self._refuse(event, str(error))
                continue
            document = document_of(event)
            document["timestamp"] = stored_timestamp(event.micros)
            fitting = fitted(document)
            if fitting is None:
                self._refuse(event, "it is too large, and not because of values in data that could be cut")
            else:
                traces.setdefault(event.trace_id, []).append(_Item(event, fitting, encoded_size(fitting)))
        return traces.values()

    def _write_batch(self, items: list[_Item], deadline: float) -> _Left:
        """Store the items of one trace."""
        # Most events with `replace` are new as well. So create them first, and upsert only after a conflict.
        for operation in ("create", "upsert") if self._replace else ("create",):
            if len(items) == 1:
                break
            answers = self._send_batch(operation, items, deadline)
            if isinstance(answers, (EventRefusedError, ServiceFailedError)):
                break
            if isinstance(answers, StoreError):
                return items, answers
            statuses = [int(answer["statusCode"]) for answer in answers]
            if len(statuses) == len(items) and _STORED[operation].issuperset(statuses):
                self._new += sum(status == 201 or item.sent for status, item in zip(statuses, items, strict=True))
                return [], None
            failure = self._why_refused(answers)
            if failure is not None:
                return items, failure
            # An emulator may keep part of a refused batch. Its statuses still say which items were new.
            for item, status in zip(items, statuses, strict=False):
                item.sent = item.sent or status == 201
            if 409 not in statuses:
                break
        return self._write_singly(items, deadline)

    def _send_batch(self, operation: str, items: list[_Item], deadline: float) -> list[dict[str, Any]] | StoreError:
        operations = [(operation, (item.document,)) for item in items]
        trace_id = items[0].event.trace_id

        def send(connection: Connection, call: Call) -> list[dict[str, Any]]:
            try:
                answers = connection.container.execute_item_batch(
                    operations, partition_key=trace_id, timeout=call.remaining
                )
            except CosmosBatchOperationError as error:
                activity = (error.headers or {}).get("x-ms-activity-id", "")
                return [{ACTIVITY: activity, **answer} for answer in error.operation_responses or ()]
            return list(answers)

        return self._send(send, items, deadline)

    def _why_refused(self, answers: list[dict[str, Any]]) -> StoreError | None:
        """Return the error that stops the whole batch; None if one of its events is the cause."""
        for answer in answers:
            status = int(answer["statusCode"])
            if status not in (200, 201, _THERE, 424):
                failure = failure_of(answer, self._store.address)
                if not isinstance(failure, (EventRefusedError, ServiceFailedError)):
                    return failure
        return None

    def _write_singly(self, items: list[_Item], deadline: float) -> _Left:
        left: list[_Item] = []
        cause: StoreError | None = None
        for position, item in enumerate(items):
            failure = self._write_one(item, deadline)
            if isinstance(failure, EventRefusedError):
                self._refuse(item.event, failure.reason)
            elif isinstance(failure, ServiceFailedError):
                left.append(item)
                cause = failure
            elif failure is not None:
                return [*left, *items[position:]], failure
        return left, cause

    def _write_one(self, item: _Item, deadline: float) -> StoreError | None:
        def send(connection: Connection, call: Call) -> int:
            container = connection.container
            operation, write = ("upsert", container.upsert_item) if self._replace else ("create", container.create_item)
            try:
                answer = write(item.document, timeout=call.remaining)
            except HttpResponseError as error:
                if error.status_code == _THERE and "unique index" in str(error.message).lower():
                    reason = "its value for a unique key of the container is taken: `sagatrace doctor` names the key"
                    raise EventRefusedError(self._store.label, reason) from None
                if error.status_code == _THERE:
                    return _THERE
                raise
            # The service answers with the stored version's tag, and mostly without content.
            is_own = answer.get("id") == item.event.id if answer else call.has_version
            if call.last_status not in _STORED[operation] or not is_own:
                raise ForeignAnswerError(call.last_status)
            return call.last_status

        status = self._send(send, [item], deadline)
        if isinstance(status, StoreError):
            return status
        # A conflict after an attempt without a response: that attempt has written it.
        self._new += status == 201 or item.sent
        return None

    def _send(self, work: Callable[[Connection, Call], _T], items: list[_Item], deadline: float) -> _T | StoreError:
        """Send, and mark the items if no response says whether they were stored."""

        def noting(connection: Connection, call: Call) -> _T:
            call.sent_items = False
            try:
                return work(connection, call)
            except (TypeError, ValueError) as error:
                if call.sent_items:
                    raise
                # The SDK refuses the document, and would refuse it again.
                reason = f"the SDK cannot send it: {type(error).__name__}: {str(error)[:200]}"
                raise EventRefusedError(self._store.label, reason) from None
            except AzureError as error:
                if answer_was_lost(error):
                    for item in items:
                        item.sent = True
                raise

        return self._store.call(noting, deadline=deadline, calls=self.calls, writes=True)

    def _refuse(self, event: TraceEvent, reason: str) -> None:
        self._refused.append(RefusedEvent(event, reason))

    def _error(self, pending: list[TraceEvent], cause: StoreError | None) -> AppendError:
        parts = []
        if cause is not None:
            parts.append(f"{cause} ({len(pending)} event(s) not stored yet)")
        if self._refused:
            first = self._refused[0]
            parts.append(
                f"{self._store.label} refuses {len(self._refused)} event(s), "
                f"first {first.event.id!r} of trace {first.event.trace_id!r}: {first.reason}"
            )
        return AppendError("; ".join(parts), new=self._new, refused=self._refused, pending=pending, cause=cause)


def remove_one(event: TraceEvent, connection: Connection, call: Call) -> None:
    """Remove the event if it is stored."""
    try:
        connection.container.delete_item(event.id, event.trace_id, timeout=call.remaining)
        if call.last_status != 204:
            raise ForeignAnswerError(call.last_status)
    except HttpResponseError as error:
        if error.status_code != 404 or getattr(error, "sub_status", None):
            raise


def _batches(items: list[_Item]) -> Iterator[list[_Item]]:
    """Yield the items in order, in parts that fit a transactional batch."""
    batch: list[_Item] = []
    size = 0
    for item in items:
        needed = item.size + _OPERATION_BYTES
        if batch and (len(batch) == BATCH_OPERATIONS or size + needed > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += needed
    if batch:
        yield batch
