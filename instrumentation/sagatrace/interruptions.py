"""Interruptions: exceptions that are meant for the job, although they are raised inside this package.

RQ's timeout is one. An exception that a signal handler of the job raises is another. Errors of tracing are swallowed,
but interruptions must reach the job.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final

# Not imported where it is used: a job that has no free descriptor, or another root directory, can import nothing.
from sagatrace.signal_handlers import is_code_of_handler

__all__ = ["Tolerated", "interruption", "must_pass", "traceback_of"]

_CO_VARARGS: Final = 4  # as in `inspect`, which is slow to import


def must_pass(error: BaseException) -> bool:
    """Return whether an exception interrupts the job on purpose: RQ's timeout, or one from a signal handler.

    Such an exception must reach the job, even if it was raised inside this package.
    """
    # Not imported here: without the module there is no such timeout. Another thread may have imported only half of it.
    timeout = getattr(sys.modules.get("rq.timeouts"), "BaseTimeoutException", None)
    # Not `isinstance`: it reads the `__class__` of the exception, which may be foreign code.
    if timeout is not None and issubclass(type(error), timeout):
        return True
    trace = traceback_of(error)
    while trace is not None and trace.tb_next is not None:
        interrupted, trace = trace.tb_frame, trace.tb_next
        if _is_handler(trace.tb_frame, interrupted):
            return True
    return False


def _is_handler(frame: FrameType, interrupted: FrameType) -> bool:
    """Return whether a frame is of a signal handler. The interpreter calls it with the frame that it interrupted."""
    code, values = frame.f_code, frame.f_locals
    taken = code.co_argcount + bool(code.co_flags & _CO_VARARGS)  # `*args` come after those that need a name
    names = (*code.co_varnames[: code.co_argcount], *code.co_varnames[code.co_argcount + code.co_kwonlyargcount :][:1])
    given = [values.get(name) for name in names[:taken]]
    has_it = any(part is interrupted for one in given for part in (one if type(one) is tuple else (one,)))
    return has_it or is_code_of_handler(code)  # it may have deleted or overwritten its arguments


class Tolerated(suppress):
    """Suppress these errors in a `with` block, but let an interruption of the job pass."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return error is not None and not must_pass(error) and bool(super().__exit__(kind, error, trace))


def interruption(error: BaseException, before: BaseException | None) -> BaseException | None:
    """Return the exception that must pass: the error, or one that a library wrapped. Return None if none must pass.

    `before` is the exception that was being handled when the call began. The search stops there.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and current is not before and id(current) not in seen:
        if must_pass(current):
            return current
        seen.add(id(current))
        current = _context_of(current)
    return None


# A class may override these attributes with foreign code, so read them from the base class.
traceback_of: Final = BaseException.__dict__["__traceback__"].__get__
_context_of: Final = BaseException.__dict__["__context__"].__get__
