"""A module that only a job's argument needs: who loads the job's data imports it, and stands here."""

from __future__ import annotations

import os
from dataclasses import dataclass

IMPORTED_BY = os.getpid()


@dataclass
class Amount:
    """An argument as applications have them."""

    cents: int


def importer_of(amount: Amount) -> tuple[int, int, int]:
    """Who imported this module, who runs this job, and what it was given."""
    return IMPORTED_BY, os.getpid(), amount.cents
