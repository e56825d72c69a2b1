"""Something about a trace that should not be: data, never an exception."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["SHOWN", "Anomaly", "listed", "reading_anomalies"]

SHOWN: Final = 3
"""How many names a sentence gives before it counts the rest."""


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
    clause = ", ".join(names[:SHOWN])
    return f"{clause} and {rest} more" if rest > 0 else clause
