"""How far a reader of changes has come, by the service's clock, and which versions of documents it has seen lately.

Every reading asks for what was written in the last ten seconds, and twice a minute for what was written in the last
one: replicas lag, those of another region most. Versions that are known are left out by the query itself, so that
none is read twice and a quiet store answers with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

__all__ = ["Cursor"]

OVERLAP: Final = 10
"""Seconds that every reading goes back."""
LAG: Final = 60
"""Seconds that a replica may lag behind before what it shows late is missed."""
_LOOK_BACK: Final = 30  # seconds between two readings that go back that far
_UNDER_WAY: Final = 3  # seconds that may still get events
_MOST_KNOWN: Final = 5_000  # versions that a query may name: a fifth of a megabyte, and the service takes half of one


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in what was written; times are whole seconds of the service's clock.

    Everything before `settled` is known; what was written up to `first` was there before. `known` holds the second
    of each version (`_etag`) seen since. While a reading is under way in parts, `page` is where it continues, `since`
    where it began, `asked` the versions that its query leaves out and `began` the service's time at its beginning.
    """

    settled: int
    latest: int
    first: int = 0
    known: dict[str, int] = {}
    page: str | None = None
    since: int = 0
    began: int = 0
    asked: list[str] = []

    @classmethod
    def of_now(cls, rows: Iterable[Mapping[str, Any]], now: int) -> Cursor:
        """Return the cursor of a first reading that began at `now`."""
        known = cls(settled=now - LAG, latest=now).knowing(rows)
        first = max([now, *known.known.values()])
        return msgspec.structs.replace(known, first=first).settling(now - LAG)

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read what `encode` gave."""
        return msgspec.json.decode(text, type=cls)

    def encode(self) -> str:
        """Return it as text."""
        return msgspec.json.encode(self).decode()

    def asking(self, now: int) -> Cursor:
        """Return the cursor of the reading to be done at `now`, or of the one under way."""
        if self.page is not None:
            return self
        far = now - self.settled >= LAG + _LOOK_BACK
        since = self.settled if far else max(self.settled, min(self.latest, now) - OVERLAP)
        asked = [version for version, second in self.known.items() if second >= since]
        return msgspec.structs.replace(self, since=since, began=now, asked=asked)

    def after(self, rows: Iterable[Mapping[str, Any]], page: str | None) -> Cursor:
        """Return the cursor once these rows came; `page` is where the reading continues, None at its end."""
        known = self.knowing(rows)
        if page is not None:
            return msgspec.structs.replace(known, page=page)
        done = msgspec.structs.replace(known, page=None, asked=[], latest=max(self.latest, self.began))
        return done.settling(self.began - LAG if self.since == self.settled else self.settled)

    def knowing(self, rows: Iterable[Mapping[str, Any]]) -> Cursor:
        """Return it with the versions of the rows."""
        seen = {str(row["_etag"]): int(row.get("_ts", 0)) for row in rows if "_etag" in row}
        return msgspec.structs.replace(self, known={**self.known, **seen})

    def settling(self, second: int) -> Cursor:
        """Forget what is older than the second, and the oldest versions past those that a query may name.

        Of a flood the oldest seconds are taken as settled, but for the last ones: versions of these come again.
        """
        settled = max(self.settled, second)
        kept = {version: at for version, at in self.known.items() if at >= settled}
        if len(kept) > _MOST_KNOWN:
            newest = sorted(kept, key=lambda version: kept[version])[-_MOST_KNOWN:]
            settled = max(settled, min(kept[newest[0]] + 1, self.latest - _UNDER_WAY))
            kept = {version: kept[version] for version in newest if kept[version] >= settled}
        return msgspec.structs.replace(self, settled=settled, known=kept)
