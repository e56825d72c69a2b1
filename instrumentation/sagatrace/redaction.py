"""Redaction: the user's functions change the data of each event before anything is stored.

Verdicts depend on some keys of data. Redaction functions do not receive these keys, so they cannot change a verdict.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from sagatrace.errors import SettingsError
from sagatrace.event import TraceEvent, new_event
from sagatrace.interruptions import must_pass

__all__ = ["Redact", "imported", "redacted", "structural"]

Redact = Callable[[str, dict[str, Any]], Mapping[str, Any]]

_STRUCTURAL: Final[Mapping[str, type | tuple[type, ...]]] = {
    **dict.fromkeys(("original_span_id", "compensation", "execution", "job_id", "job_name", "error_type"), str),
    **dict.fromkeys(("queue", "redis", "next_at", "scheduled_for", "dependency"), str),
    **dict.fromkeys(("attempt", "attempts_allowed", "seq", "presumed", "allow_failure", "took_effect"), int),
    "depends_on": (str, list),
    "error_causes": list,
}
"""The keys that verdicts or the search for lost jobs depend on, with the type of their values."""


def structural(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that verdicts or the search for lost jobs depend on."""
    return {name: data[name] for name, kind in _STRUCTURAL.items() if name in data and isinstance(data[name], kind)}


def redacted(event: TraceEvent, hooks: Iterable[Redact | str], count: Callable[..., None]) -> TraceEvent:
    """Return the event with the data that the hooks return.

    Args:
        event: The event before redaction.
        hooks: Functions, each called as (event type, data as JSON values), or `package.module:function`.
        count: Called as (what, error) for a hook that fails. Then only the structural values are stored.
    """
    for hook in hooks:
        values = event.data
        kept = structural(values)
        try:
            function = imported(hook) if isinstance(hook, str) else hook
            rest = function(event.event_type, {name: value for name, value in values.items() if name not in kept})
            forged = structural(_mapping(rest))
            data = {**{name: value for name, value in rest.items() if name not in forged}, **kept}
        except (Exception, SystemExit) as error:
            if must_pass(error):
                raise
            count("data withheld, redaction failed", error, is_secret=not isinstance(error, SettingsError))
            data = {"redaction_failed": type(error).__name__, **kept}
        again = new_event(trace_id=event.trace_id, span_id=event.span_id, event_type=event.event_type, data=data)
        event = msgspec.structs.replace(event, raw_data=again.raw_data)
    return event


def _mapping(rest: object) -> Mapping[str, Any]:
    if not isinstance(rest, Mapping):
        raise TypeError(f"the redaction returned a {type(rest).__name__}, not a mapping")
    return rest


def imported(path: str) -> Redact:
    """Return the function at `package.module:function`. Raises SettingsError."""
    module, _, name = path.partition(":")
    if not all(map(str.isidentifier, [*module.split("."), name])):  # an import error would repeat a part of the value
        raise SettingsError(f"SAGATRACE_REDACT={path!r} is not package.module:function")
    try:
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"SAGATRACE_REDACT={path!r} is not package.module:function: {error}") from error
    except (Exception, SystemExit) as error:  # by the module's own code, so its text may hold secrets
        if must_pass(error):
            raise
        raise SettingsError(f"SAGATRACE_REDACT={path!r} cannot be imported: {type(error).__name__}") from error
