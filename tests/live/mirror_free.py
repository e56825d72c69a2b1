"""A job that reports whether the mirror is loaded in its process."""

from __future__ import annotations

import os
import sys

from sagatrace import Tracer
from sagatrace.rq import current_trace


def loaded() -> None:
    """Return whether a module of the mirror is loaded."""
    trace = current_trace()
    assert trace is not None
    mirror = any(name.startswith(("sagatrace.mirror", "sagatrace.shipper.shipper")) for name in sys.modules)
    Tracer().emit("test:loaded", trace, data={"mirror": mirror, "pid": os.getpid()})
