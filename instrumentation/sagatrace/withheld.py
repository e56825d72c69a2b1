"""Record an event whose write was interrupted. An interruption is raised only once, so a second write can finish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sagatrace.destination import Destination
from sagatrace.event import TraceEvent, new_event
from sagatrace.redaction import structural

__all__ = ["keep_again"]


def keep_again(
    destination: Destination,
    event: TraceEvent | None,
    made: dict[str, Any],
    replace: bool,
    data: Mapping[str, Any],
    interrupt: BaseException,
    count: Callable[[str, Exception], None],
) -> None:
    """Write the event again. If it is stored already, its id makes the second write harmless.

    If the interruption came while the data was read, `event` is None. Then only structural values of the data are
    stored, because reading the job's objects could hang again.
    """
    try:
        withheld = {"data_withheld": type(interrupt).__name__, **structural(data)}
        destination.keep(event or new_event(data=withheld, **made), replace)
    except Exception as error:  # noqa: BLE001 - counted, and the interruption passes
        count("event lost", error)
