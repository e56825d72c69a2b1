"""Azure's list prices in 2026 in most regions. Options of `sagatrace cost` replace them."""

from __future__ import annotations

import msgspec

__all__ = ["Prices"]


class Prices(msgspec.Struct, frozen=True):
    """Prices in dollars.

    Attributes:
        million_units: a million request units, serverless.
        gigabyte: a gigabyte stored for a month.
        reserved: 100 RU/s reserved for an hour.
        autoscale: 100 RU/s for an hour, by the highest use in that hour.
    """

    million_units: float = 0.25
    gigabyte: float = 0.25
    reserved: float = 0.008
    autoscale: float = 0.012
