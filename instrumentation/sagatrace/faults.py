"""Count and log the faults of tracing, and keep them from the job."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from sagatrace.error_text import text_of
from sagatrace.errors import SagatraceError
from sagatrace.interruptions import must_pass, traceback_of
from sagatrace.shown import logger

__all__ = ["Harmless", "count_fault", "faults", "is_switched_off", "log_fault"]

log: Final = logger("sagatrace")

faults: Final[Counter[str]] = Counter()
"""Number of faults in hooks of workers and queues, by the type of the error."""
_number_of: Final = OSError.__dict__["errno"].__get__  # past a class's own attribute, which is foreign code


class Harmless:
    """Swallow, count and log the errors in a `with` block. Interruptions that are meant for the job pass.

    `afterwards` is called after an error was logged.
    """

    def __init__(self, afterwards: Callable[[], None] = lambda: None) -> None:
        self._afterwards = afterwards

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception) or must_pass(error):
            return False
        faults[key := type(error).__name__] += 1
        if faults[key] == 1:
            is_ours = isinstance(error, SagatraceError)  # its message says how to fix it
            log_fault(
                "sagatrace: a hook failed, RQ continues (further ones are counted in sagatrace.faults, not logged)%s",
                f": {error}" if is_ours else "",
                error=None if is_ours else error,
            )
        with suppress(Exception):  # the fault is counted and logged; this only reports it to the worker
            self._afterwards()
        return True


def is_switched_off() -> bool:
    """Return whether the environment switches recording off. Then no warnings are logged either."""
    return "off" in (os.environ.get(name, "").strip() for name in ("SAGATRACE", "SAGATRACE_STORE"))


def log_fault(message: str, *arguments: object, error: BaseException | None = None) -> None:
    """Log a fault of tracing, with the traceback of an error. Exceptions of log handlers must not reach a job."""
    exc_info = None if error is None else (type(error), error, traceback_of(error))
    try:
        log.error(message, *arguments, stacklevel=2, exc_info=exc_info)
    except Exception as fault:
        if must_pass(fault):
            raise


def count_fault(counts: Counter[str], what: str, error: Exception | None = None, *, is_secret: bool = False) -> None:
    """Count a fault, and log each cause once. With `is_secret` the log leaves out the error's text."""
    # An OSError has many causes, so the key includes its errno.
    errno = _number_of(error) if error is not None and issubclass(type(error), OSError) else None
    number = f" {errno}" if errno else ""
    key = what if error is None else f"{what}: {type(error).__name__}{number}"
    counts[key] += 1
    if counts[key] == 1:
        message = text_of("message", lambda: "; ".join([str(error), *getattr(error, "__notes__", ())]))
        text = key if error is None or is_secret else f"{what}: {type(error).__name__}: {message}"
        log_fault("sagatrace: %s (further ones are counted in Tracer.lost, not logged)", text)
