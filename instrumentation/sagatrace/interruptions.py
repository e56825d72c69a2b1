"""Interruptions: exceptions that are meant for the job, although they are raised inside this package.

RQ's timeout is one. An exception that a signal handler of the job raises is another. Errors of tracing are swallowed,
but interruptions must reach the job.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from functools import partial
from types import FrameType, FunctionType, MethodType, TracebackType
from typing import Any, Final

__all__ = ["Tolerated", "interruption", "must_pass", "traceback_of"]

_HERE: Final = __file__.removesuffix("interruptions.py")


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
    given = [one for value in frame.f_locals.values() for one in (value if type(value) is tuple else (value,))]
    if any(one is interrupted for one in given):
        return True
    if frame.f_code.co_filename.startswith(_HERE):
        return False  # the standard library swallows some alarms while it looks handlers up, so do that seldom
    # A handler may have deleted or replaced its arguments.
    return any(_code_of(signal.getsignal(number)) is frame.f_code for number in signal.valid_signals())


def _code_of(handler: Any) -> object:
    """Return the code of a signal handler: a function, a method, an object with `__call__`, or a partial of them."""
    while type(handler) is partial:
        handler = handler.func
    return getattr(handler if type(handler) in (FunctionType, MethodType) else type(handler).__call__, "__code__", None)


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
