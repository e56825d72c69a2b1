"""Sagas written by hand, each with all answers for an on-call engineer.

Every row checks every answer; an absent column is expected to be empty. `compensations` is step<compensation:outcome. A
`?` in `standing` marks a step that may have had no effect.
"""

from saga_tables.anomalies import ANOMALIES
from saga_tables.compensation import COMPENSATION
from saga_tables.effects import EFFECTS
from saga_tables.green import GREEN
from saga_tables.items import ITEMS
from saga_tables.lost import LOST
from saga_tables.more import MORE
from saga_tables.nested import NESTED
from saga_tables.no_all_clear import NO_ALL_CLEAR
from saga_tables.plain import PLAIN
from saga_tables.processes import PROCESSES
from saga_tables.retried import RETRIED
from saga_tables.roles import ROLES
from saga_tables.swallowed import SWALLOWED
from saga_tables.traps import TRAPS
from saga_tables.uncertain import UNCERTAIN

__all__ = ["ALL"]

ALL = [
    *PLAIN, *ROLES, *COMPENSATION, *UNCERTAIN, *EFFECTS, *NESTED, *RETRIED, *ANOMALIES, *MORE,
    *SWALLOWED, *GREEN, *ITEMS, *PROCESSES, *TRAPS, *NO_ALL_CLEAR, *LOST,
]  # fmt: skip
