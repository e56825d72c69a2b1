"""A proxy that counts requests to the container, documents in responses, and how often each version is read."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fault_proxy import Exchange, FaultProxy

__all__ = ["Count", "counting"]


@dataclass
class Count:
    """The counts since the last `clear`. Only documents with content count as read."""

    requests: int = 0
    documents: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Reset the counts."""
        with self.lock:
            self.requests = self.documents = 0
            self.versions.clear()

    @property
    def twice(self) -> int:
        """Return the versions that were read more than once."""
        return sum(count > 1 for count in self.versions.values())

    def note(self, exchange: Exchange) -> None:
        """Pass on and count one exchange."""
        answer = exchange.forward()
        try:
            found = json.loads(answer.body).get("Documents", [])
        except (ValueError, AttributeError):
            found = []
        with self.lock:
            self.requests += 1
            self.documents += len(found)
            self.versions.update(str(one["_etag"]) for one in found if "id" in one and "_etag" in one)
        exchange.send(answer.encoded())


@contextmanager
def counting(upstream: str) -> Iterator[tuple[FaultProxy, Count]]:
    """Run a proxy before the server, and yield it with its counts."""
    with FaultProxy(upstream) as proxy:
        count = Count()
        proxy.fault = count.note
        yield proxy, count
