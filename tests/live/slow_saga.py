"""A saga that advances under control of a test."""

from __future__ import annotations

import time
from pathlib import Path

from sagatrace import Tracer
from sagatrace.rq import current_trace


def controlled(directory: str, stages: int) -> None:
    """Run the stages, each until a file `go-N` exists. Then fail, and undo them."""
    tracer = Tracer()
    trace = current_trace()
    assert trace is not None
    with tracer.span("workflow:controlled", trace) as saga:
        done = []
        for number in range(stages):
            with tracer.span(f"stage:s{number}", saga, compensation=f"undo_s{number}") as stage:
                while not (Path(directory) / f"go-{number}").exists():
                    time.sleep(0.02)
            done.append(stage)
        for stage in reversed(done):
            with tracer.compensation(original=stage, parent=saga, reason="the end"):
                pass
        raise RuntimeError("no more stages")
