"""Read an error as texts of bounded length that can be stored. A faulty exception class cannot break its job."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Final

from sagatrace.interruptions import must_pass

__all__ = ["MAX_ERROR", "MAX_STACK", "causes_of", "error_data", "members_of", "text_of"]

MAX_ERROR: Final = 4_000  # characters kept of an error's message
MAX_STACK: Final = 16_000  # characters kept of a traceback: its end, where the error is
_MAX_CAUSES: Final = 20

# A class may override these attributes with foreign code, so read them from the base class.
_cause_of: Final = BaseException.__dict__["__cause__"].__get__
_context_of: Final = BaseException.__dict__["__context__"].__get__
_is_context_hidden: Final = BaseException.__dict__["__suppress_context__"].__get__
_members_of: Final = BaseExceptionGroup.__dict__["exceptions"].__get__
_name_of: Final = type.__dict__["__qualname__"].__get__


def error_data(error: BaseException) -> dict[str, str]:
    """Return an error's message, type and traceback as data. Long texts are cut and marked as cut."""
    message = text_of("message", lambda: str(error))
    stack = text_of("traceback", lambda: "".join(traceback.format_exception(error)))
    if len(message) > MAX_ERROR:
        message = f"{message[:MAX_ERROR]}… [cut, {len(message)} characters]"
    if len(stack) > MAX_STACK:
        stack = f"[cut, {len(stack)} characters] …{stack[-MAX_STACK:]}"
    return {"error": message, "error_type": text_of("type", lambda: type(error).__qualname__), "stack": stack}


def causes_of(error: BaseException | None, around: int = 0) -> Mapping[str, list[str]]:
    """Return `error_causes`: the types of the errors that this error replaced or that are in its group.

    Readers need them: after a timeout that a library wrapped, the outcome of the work is unknown. `around` is the `id`
    of the exception that was being handled before the work began. It is left out.
    """
    found: dict[int, str] = {}
    waiting = [] if error is None else [error]
    while waiting and len(found) <= _MAX_CAUSES:
        one = waiting.pop()
        if id(one) not in found and id(one) != around:
            found[id(one)] = _name_of(type(one))
            behind = (_cause_of(one), None if _is_context_hidden(one) else _context_of(one))
            waiting += [error for error in behind if error is not None][:1]  # an exception may have no truth value
            waiting += members_of(one)
    names = list(dict.fromkeys(found.values()))
    return {"error_causes": names[1:]} if names[1:] else {}


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """Return the exceptions in a group; an empty tuple for any other exception."""
    # Not `isinstance`: it reads the `__class__` of the exception, which may be foreign code.
    return _members_of(error) if issubclass(type(error), BaseExceptionGroup) else ()


def text_of(what: str, read: Callable[[], str]) -> str:
    """Return the text that `read` returns, in a form that can be stored. `read` runs foreign code and may fail."""
    try:
        return read().encode("utf-8", "backslashreplace").decode()  # a lone surrogate cannot be stored
    except BaseException as fault:
        if must_pass(fault) or isinstance(fault, KeyboardInterrupt):
            raise
        return f"<no {what}: {type(fault).__name__}>"
