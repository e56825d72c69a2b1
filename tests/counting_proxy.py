"""A proxy that counts: requests to the container, documents in the answers, and how often each version came."""

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
    """What went through since the last `clear`; only documents with content are counted as read."""

    requests: int = 0
    documents: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clear(self) -> None:
        """Begin again."""
        with self.lock:
            self.requests = self.documents = 0
            self.versions.clear()

    @property
    def twice(self) -> int:
        """Versions that came more than once."""
        return sum(count > 1 for count in self.versions.values())

    def note(self, exchange: Exchange) -> None:
        """Hand on and count one exchange."""
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
    """A proxy before the server, and its counts."""
    with FaultProxy(upstream) as proxy:
        count = Count()
        proxy.fault = count.note
        yield proxy, count
