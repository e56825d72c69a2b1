"""A lock in Redis: of all processes that share a store and a Redis, one searches for lost jobs."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import Any

from redis import Redis, RedisError

from sagatrace.ids import new_id

__all__ = ["Turn"]


class Turn:
    """The right to search: a key in Redis that expires soon after its holder stops searching."""

    def __init__(self, redis: Redis, label: str, every: float) -> None:
        self._redis: Any = redis
        self._key = f"sagatrace:lost-jobs:{sha256(label.encode()).hexdigest()[:16]}"
        self._name = new_id()
        self._life = max(10_000, int(every * 2500))  # milliseconds: two and a half intervals
        self._held = False

    def is_ours(self) -> bool:
        """Take or renew the lock. Return whether this process holds it. Raises RedisError."""
        self._held = bool(self._redis.set(self._key, self._name, nx=True, px=self._life)) or self._is_holder()
        if self._held:
            self._redis.pexpire(self._key, self._life)
        return self._held

    def give_up(self) -> None:
        """Release the lock for the next process."""
        with suppress(RedisError):  # it expires
            if self._held and self._is_holder():
                self._redis.delete(self._key)

    def _is_holder(self) -> bool:
        held = self._redis.get(self._key)
        return (held.decode() if isinstance(held, bytes) else held) == self._name
