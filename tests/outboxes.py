"""An outbox for tests: events, its files, its dead letters, and a shipper that follows it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sagatrace.event import TraceEvent, new_event
from sagatrace.shipper.dead_letters import DEAD_LETTERS
from sagatrace.shipper.shipper import Shipper


def event(name: str, trace_id: str = "T", timestamp: str | None = None) -> TraceEvent:
    return new_event(id=name, trace_id=trace_id, span_id="S", event_type="ai:decision", timestamp=timestamp)


def willing(_: list[TraceEvent]) -> Exception | None:
    return None


def letters(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / DEAD_LETTERS).read_text().splitlines()]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@contextmanager
def following(shipper: Shipper, *, while_used: bool = False) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=shipper.follow, args=(stop,), kwargs={"while_used": while_used})
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(60)
        shipper.close()
        assert not thread.is_alive()
