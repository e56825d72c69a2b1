"""A module that only a job's argument needs. It records the process that imports it by loading the job's data."""

from __future__ import annotations

import os
from dataclasses import dataclass

IMPORTED_BY = os.getpid()


@dataclass
class Amount:
    """An argument like those of applications."""

    cents: int


def importer_of(amount: Amount) -> tuple[int, int, int]:
    """Return the process that imported this module, the one that runs this job, and the argument."""
    return IMPORTED_BY, os.getpid(), amount.cents
