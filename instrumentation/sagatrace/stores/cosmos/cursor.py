"""The progress of a reader of changes, by the service's clock, and the document versions that it saw recently.

Replicas lag, most of all those of another region. So every read goes back ten seconds, and about twice a minute it goes
back a whole minute. The query leaves out known versions, so rows are not read twice. A quiet store returns no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

__all__ = ["Cursor"]

OVERLAP: Final = 10
"""Seconds that every read goes back."""
LAG: Final = 60
"""Seconds that a replica may lag. Changes with a longer lag are missed."""
_LOOK_BACK: Final = 30  # seconds between two reads that go back `LAG` seconds
_UNDER_WAY: Final = 3  # the newest seconds, in which events may still be written
_MOST_KNOWN: Final = 5_000  # versions that a query may name: 0.2 MB, and the service accepts 0.5 MB


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in the order of writes. Times are whole seconds of the service's clock.

    Attributes:
        settled: All documents written before this second are known.
        latest: The time at which the last complete read began.
        first: Documents written up to this second existed before the first read.
        known: The second of each version (`_etag`) seen since `settled`.
        page: The place where an unfinished read continues; None between reads.
        since: The first second that the current read asks for.
        began: The service's time at the beginning of the current read.
        asked: The known versions that the query leaves out.
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
        """Return the cursor of a first read that began at `now`."""
        known = cls(settled=now - LAG, latest=now).knowing(rows)
        first = max([now, *known.known.values()])
        return msgspec.structs.replace(known, first=first).settling(now - LAG)

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read the text that `encode` returned."""
        return msgspec.json.decode(text, type=cls)

    def encode(self) -> str:
        """Return the cursor as text."""
        return msgspec.json.encode(self).decode()

    def asking(self, now: int) -> Cursor:
        """Return the cursor of the next read, which begins at `now`. An unfinished read keeps its cursor."""
        if self.page is not None:
            return self
        if self.settled > now:  # an earlier response had a wrong clock: begin again, a minute back
            return msgspec.structs.replace(self, settled=now - LAG, latest=now - LAG, known={}).asking(now)
        far = now - self.settled >= LAG + _LOOK_BACK
        since = self.settled if far else max(self.settled, min(self.latest, now) - OVERLAP)
        asked = [version for version, second in self.known.items() if second >= since]
        return msgspec.structs.replace(self, since=since, began=now, asked=asked)

    def after(self, rows: Iterable[Mapping[str, Any]], page: str | None) -> Cursor:
        """Return the cursor after these rows. `page` is the place where the read continues, None at its end."""
        known = self.knowing(rows)
        if page is not None:
            return msgspec.structs.replace(known, page=page)
        done = msgspec.structs.replace(known, page=None, asked=[], latest=max(self.latest, self.began))
        return done.settling(self.began - LAG if self.since == self.settled else self.settled)

    def knowing(self, rows: Iterable[Mapping[str, Any]]) -> Cursor:
        """Return the cursor with the versions of the rows added."""
        seen = {str(row["_etag"]): int(row.get("_ts", 0)) for row in rows if "_etag" in row}
        return msgspec.structs.replace(self, known={**self.known, **seen})

    def settling(self, second: int) -> Cursor:
        """Forget versions older than the second, and the oldest ones if there are more than a query may name.

        With too many versions, the oldest seconds count as settled, but never the newest three. Forgotten versions of
        the newest three seconds may be returned again.
        """
        settled = max(self.settled, second)
        kept = {version: at for version, at in self.known.items() if at >= settled}
        if len(kept) > _MOST_KNOWN:
            newest = sorted(kept, key=lambda version: kept[version])[-_MOST_KNOWN:]
            settled = max(settled, min(kept[newest[0]] + 1, self.latest - _UNDER_WAY))
            kept = {version: kept[version] for version in newest if kept[version] >= settled}
        return msgspec.structs.replace(self, settled=settled, known=kept)
