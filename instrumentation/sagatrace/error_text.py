"""Read an error as bounded texts that can be stored. No exception class can break its job by this."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Final

from sagatrace.errors import must_pass

__all__ = ["MAX_ERROR", "MAX_STACK", "error_data", "text_of"]

MAX_ERROR: Final = 4_000  # characters kept of an error's message
MAX_STACK: Final = 16_000  # characters kept of a traceback: its end, where the error is


def error_data(error: BaseException) -> dict[str, str]:
    """Return an error's message, type and traceback. Long texts are cut and marked as cut."""
    message = text_of("message", lambda: str(error))
    stack = text_of("traceback", lambda: "".join(traceback.format_exception(error)))
    if len(message) > MAX_ERROR:
        message = f"{message[:MAX_ERROR]}… [cut, {len(message)} characters]"
    if len(stack) > MAX_STACK:
        stack = f"[cut, {len(stack)} characters] …{stack[-MAX_STACK:]}"
    return {"error": message, "error_type": text_of("type", lambda: type(error).__qualname__), "stack": stack}


def text_of(what: str, read: Callable[[], str]) -> str:
    """Return the text as it can be stored. Reading it runs code of the exception's class, which may raise anything."""
    try:
        return read().encode("utf-8", "backslashreplace").decode()  # a lone surrogate cannot be stored
    except BaseException as fault:
        if must_pass(fault) or isinstance(fault, KeyboardInterrupt):
            raise
        return f"<no {what}: {type(fault).__name__}>"
