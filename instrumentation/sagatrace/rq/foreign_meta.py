"""Read the meta of a job whose producer used a different serializer than the worker."""

from __future__ import annotations

import functools
import io
import pickle
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from sagatrace.event import UNREADABLE
from sagatrace.faults import log_fault

__all__ = ["read_meta"]

_UNPICKLABLE: Final = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
)


def read_meta(raw: bytes) -> Mapping[str, Any] | None:
    """Return the meta from JSON, or from a pickle of plain values. Return None and log once if it is neither."""
    with suppress(*UNREADABLE):
        return msgspec.json.decode(raw, type=dict[str, Any])
    with suppress(*_UNPICKLABLE):
        meta = _PlainUnpickler(io.BytesIO(raw)).load()
        if isinstance(meta, dict):
            return meta
    _warn_of_meta()
    return None


@functools.cache
def _warn_of_meta() -> None:
    """Log once that a job's context may be lost."""
    log_fault("sagatrace: the meta of a job is in an unknown serialization, so the job may be in a trace of its own")


class _PlainUnpickler(pickle.Unpickler):
    """Load values of built-in types only. Run none of the user's code."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every class, because a pickle reaches code through this method."""
        raise pickle.UnpicklingError(f"{module}.{name} is not loaded here")
