"""Write events: a transactional batch per trace, or single writes if the service refuses a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError
from azure.cosmos.exceptions import CosmosBatchOperationError

from sagatrace.coercion import require_storable_id
from sagatrace.errors import EventError, StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import AppendError, RefusedEvent
from sagatrace.stores.codec import document_of
from sagatrace.stores.cosmos.call import EventRefusedError
from sagatrace.stores.cosmos.errors import ServiceFailedError, answer_was_lost, failure_of
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
    """One event to be written.

    `sent` is set if an earlier request may have stored it although the response was lost. `done` is set if the event
    is stored or refused.
    """

    event: TraceEvent
    document: dict[str, Any]
    size: int
    sent: bool = False
    done: bool = False


class Writer:
    """One `append`: the new, refused and pending events, and the calls."""

    def __init__(self, store: CosmosStore, *, replace: bool) -> None:
        self._store = store
        self._replace = replace
        self._operation = "upsert" if replace else "create"
        self._new = 0
        self._refused: list[RefusedEvent] = []
        self._cause: StoreError | None = None
        self.calls: list[Call] = []

    def write(self, events: list[TraceEvent], *, deadline: float) -> int:
        """Store the events and return how many were new. Raises AppendError."""
        batches = [batch for items in self._by_trace(events) for batch in _batches(items)]
        try:
            for batch in batches:
                self._write_batch(batch, deadline)
        except StoreError as failure:
            self._cause = failure
        if self._refused or self._cause is not None:
            raise self._error([item.event for batch in batches for item in batch if not item.done])
        return self._new

    def _by_trace(self, events: Iterable[TraceEvent]) -> Iterable[list[_Item]]:
        """Return the events of each trace as documents of allowed size, each (trace_id, id) once."""
        unique: dict[tuple[str, str], TraceEvent] = {}
        for event in events:
            key = (event.trace_id, event.id)
            if self._replace or key not in unique:
                unique[key] = event
        traces: dict[str, list[_Item]] = {}
        for event in unique.values():
            try:
                require_storable_id(event.id)
            except EventError as error:  # an older version wrote the event, or it is from another store
                self._refused.append(RefusedEvent(event, str(error)))
                continue
            document = document_of(event)
            document["timestamp"] = stored_timestamp(event.micros)
            fitting = fitted(document)
            if fitting is None:
                reason = "it is too large, and not because of values in data that could be cut"
                self._refused.append(RefusedEvent(event, reason))
            else:
                traces.setdefault(event.trace_id, []).append(_Item(event, fitting, encoded_size(fitting)))
        return traces.values()

    def _write_batch(self, items: list[_Item], deadline: float) -> None:
        """Store the items of one trace. Raises StoreError for a fault that would affect other events as well."""
        answers: list[dict[str, Any]] = []
        headers: Mapping[str, Any] = {}
        if len(items) > 1:
            with suppress(EventRefusedError, ServiceFailedError):
                answers, headers = self._send_batch(items, deadline)
        statuses = [int(answer["statusCode"]) for answer in answers]
        if len(statuses) == len(items) and _STORED[self._operation].issuperset(statuses):
            for item, status in zip(items, statuses, strict=True):
                self._count(item, status)
            return
        for answer, status in zip(answers, statuses, strict=True):
            if status not in (200, 201, _THERE, 424):
                failure = failure_of(answer, headers, self._store.address)
                if not isinstance(failure, (EventRefusedError, ServiceFailedError)):
                    raise failure
        # An emulator may keep part of a refused batch. Its statuses still say which items were new.
        for item, status in zip(items, statuses, strict=False):
            item.sent = item.sent or status == 201
        for item in items:
            self._write_singly(item, deadline)

    def _send_batch(self, items: list[_Item], deadline: float) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
        """Return the results of one batch, and the headers of a refusal."""
        operations = [(self._operation, (item.document,)) for item in items]
        trace_id = items[0].event.trace_id

        def send(connection: Connection, _: Call) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
            try:
                return list(connection.container.execute_item_batch(operations, partition_key=trace_id)), {}
            except CosmosBatchOperationError as error:
                return list(error.operation_responses or ()), error.headers or {}

        return self._send(send, items, deadline)

    def _write_singly(self, item: _Item, deadline: float) -> None:
        try:
            self._count(item, self._send(partial(self._write_one, item), [item], deadline))
        except EventRefusedError as failure:
            self._refused.append(RefusedEvent(item.event, failure.reason))
            item.done = True
        except ServiceFailedError as failure:
            self._cause = failure

    def _count(self, item: _Item, status: int) -> None:
        """Count a stored item. If a response was lost, a conflict means that the earlier request stored the item."""
        item.done = True
        self._new += status == 201 or item.sent

    def _write_one(self, item: _Item, connection: Connection, call: Call) -> int:
        container = connection.container
        try:
            answer = (container.upsert_item if self._replace else container.create_item)(item.document)
        except HttpResponseError as error:
            if error.status_code != _THERE:
                raise
            if "unique index" in str(error.message).lower():
                reason = "another event has the same value for a unique key: `sagatrace doctor` names the key"
                raise EventRefusedError(self._store.label, reason) from None
            return _THERE
        # The response has the tag of the stored version, and usually no content.
        is_own = answer.get("id") == item.event.id if answer else call.has_version
        if call.last_status not in _STORED[self._operation] or not is_own:
            raise ForeignAnswerError(call.last_status)
        return call.last_status

    def _send(self, work: Callable[[Connection, Call], _T], items: list[_Item], deadline: float) -> _T:
        """Send the items. Mark them if the response was lost, so that they may be stored. Raises StoreError."""

        def noting(connection: Connection, call: Call) -> _T:
            try:
                return work(connection, call)
            except (TypeError, ValueError) as error:
                if call.sent_items:
                    raise
                # The SDK refuses the document. A retry would fail in the same way.
                reason = f"the SDK cannot send it: {type(error).__name__}: {str(error)[:200]}"
                raise EventRefusedError(self._store.label, reason) from None
            except AzureError as error:
                if answer_was_lost(error):
                    for item in items:
                        item.sent = True
                raise

        return self._store.call(noting, deadline=deadline, calls=self.calls, writes=True)

    def _error(self, pending: list[TraceEvent]) -> AppendError:
        parts = [f"{self._cause} ({len(pending)} event(s) not stored yet)"] if self._cause is not None else []
        if self._refused:
            first = self._refused[0]
            parts.append(
                f"{self._store.label} refuses {len(self._refused)} event(s), "
                f"first {first.event.id!r} of trace {first.event.trace_id!r}: {first.reason}"
            )
        text = "; ".join(parts)
        return AppendError(text, new=self._new, refused=self._refused, pending=pending, cause=self._cause)


def remove_one(event: TraceEvent, connection: Connection, call: Call) -> None:
    """Remove the event if it is stored."""
    try:
        connection.container.delete_item(event.id, event.trace_id)
        if call.last_status != 204:
            raise ForeignAnswerError(call.last_status)
    except HttpResponseError as error:
        if error.status_code != 404 or getattr(error, "sub_status", None):
            raise


def _batches(items: list[_Item]) -> list[list[_Item]]:
    """Return the items in order, split into parts that fit a transactional batch."""
    batches: list[list[_Item]] = []
    room = 0
    for item in items:
        needed = item.size + _OPERATION_BYTES
        if not batches or needed > room or len(batches[-1]) == BATCH_OPERATIONS:
            batches.append([])
            room = BATCH_BYTES
        batches[-1].append(item)
        room -= needed
    return batches
