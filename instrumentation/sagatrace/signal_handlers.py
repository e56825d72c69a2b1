"""The code of the signal handlers of this process."""

from __future__ import annotations

import signal
import sys
from functools import cache, partial
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

__all__ = ["is_code_of_handler"]

_CACHED: Final = type(cache(id))
_handler_of: Final[Any] = sys.modules["_signal"].getsignal  # that of `signal` takes ten times as long


def is_code_of_handler(code: CodeType) -> bool:
    """Return whether a signal handler that is set now has this code."""
    return any(_code_of(_handler_of(number)) is code for number in range(1, signal.NSIG))


def _code_of(handler: Any) -> CodeType | None:
    """Return the code of a handler; None for one that is not written in Python. Run no foreign code."""
    while not issubclass(kind := type(handler), FunctionType):
        if kind is MethodType:
            handler = handler.__func__
        elif issubclass(kind, partial):
            handler = handler.func
        elif kind is _CACHED:
            handler = handler.__wrapped__
        else:
            handler = next((vars(one)["__call__"] for one in kind.__mro__ if "__call__" in vars(one)), None)
            return handler.__code__ if type(handler) is FunctionType else None
    return handler.__code__  # type: ignore[no-any-return]
