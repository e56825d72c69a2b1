"""Azure's list prices, as of 2026 in most regions; `sagatrace cost` takes others."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Prices"]


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars.

    Attributes:
        million_units: a million request units, serverless.
        gigabyte: a gigabyte kept for a month.
        reserved: 100 RU/s reserved for an hour.
        autoscale: 100 RU/s for an hour, by the highest use in it.
    """

    million_units: float = 0.25
    gigabyte: float = 0.25
    reserved: float = 0.008
    autoscale: float = 0.012
