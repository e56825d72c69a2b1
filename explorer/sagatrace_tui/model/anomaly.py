"""Something about a trace that should not be: data, never an exception."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["LONGEST_NAME", "SHOWN", "Anomaly", "clipped", "listed", "one_line", "reading_anomalies"]

SHOWN: Final = 3
"""How many names a sentence gives before it counts the rest."""
LONGEST_NAME: Final = 120
"""Characters of a name that a sentence gives: jobs may be called anything."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Its kind, the spans it concerns, one sentence."""

    kind: str
    span_ids: tuple[str, ...]
    detail: str


def reading_anomalies(malformed: Iterable[tuple[str, str]]) -> list[Anomaly]:
    """What was found while reading, as (document id, fault) pairs, as anomalies of the trace."""
    return [Anomaly("malformed", (), f"document {document_id}: {fault}") for document_id, fault in malformed]


def listed(names: Sequence[str], count: int | None = None) -> str:
    """The names in one clause: the first few, and how many more of all `count` there are."""
    rest = (len(names) if count is None else count) - SHOWN
    clause = ", ".join(clipped(name, LONGEST_NAME) for name in names[:SHOWN])
    return f"{clause} and {rest} more" if rest > 0 else clause


def clipped(text: str, limit: int) -> str:
    """The text in at most `limit` characters, with … where it was cut."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def one_line(text: str, limit: int) -> str:
    """The text's first line that says anything, in at most `limit` characters, with … where there is more."""
    lines = [line.strip() for line in text[: 10 * limit].splitlines() if line.strip()]
    more = len(lines) > 1 or len(text) > 10 * limit
    return clipped(f"{lines[0] if lines else ''}{'…' if more else ''}", limit)
