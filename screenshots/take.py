"""Take the pictures in this directory, from a real demo: `python screenshots/take.py`.

Starts the demo, waits until its first loans have ended, and saves what the app shows of them; `live` is one that runs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore, Search, open_store
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.demo import start_demo
from sagatrace_tui.model import Trace, build_trace
from sagatrace_tui.widgets.bar import StateLine

HERE = Path(__file__).parent
SIZE = (120, 32)
PATIENCE = 90.0  # seconds until the demo must have what is wanted
ENOUGH = 11  # sagas that have ended, of every scenario


async def main() -> None:
    """Take them all."""
    with start_demo() as demo:
        store = open_store(demo.store_url, read_only=True)
        mirror = Mirror(demo.mirror_url, store.label)
        await _wait_for(lambda: sum(trace.ended for trace in _traces(store)) >= ENOUGH, "enough ended loans")
        rollback_incomplete = await _wait_for(
            lambda: _one(store, "rollback_incomplete"), "a rollback that is incomplete"
        )
        listed = SagatraceApp(store, is_demo=True, mirror=mirror)
        async with listed.run_test(size=SIZE) as pilot:
            await _take(pilot, "search", "e")
            await _take(pilot, "failures", "2")
            await _take(pilot, "standing", "3")
        async with SagatraceApp(store, trace_id=rollback_incomplete, mirror=mirror).run_test(size=SIZE) as pilot:
            await _take(pilot, "tree")
            await _take(pilot, "why", "w")
            await _take(pilot, "compensation", "c")
            await _take(pilot, "detail", "1", "tab", "G")
            await _take(pilot, "help", "question_mark")
        running = await _wait_for(lambda: _one(store, "running", spans=6), "a loan near the end of its steps")
        async with SagatraceApp(store, trace_id=running, mirror=mirror).run_test(size=SIZE) as pilot:
            await _take(pilot, "live", settled=0.2)
        store.close()


def _traces(store: EventStore) -> list[Trace]:
    now = time.time_ns() // 1000
    hits = store.search(Search(limit=40))
    return [build_trace(hit.trace_id, store.fetch_trace(hit.trace_id).events, now=now) for hit in hits]


def _one(store: EventStore, verdict: str, spans: int = 1) -> str:
    """The id of a trace with that verdict, or nothing."""
    found = (trace for trace in _traces(store) if trace.verdict == verdict and len(trace.spans) >= spans)
    return next((trace.trace_id for trace in found if verdict != "running" or trace.cause is None), "")


async def _wait_for(probe: Callable[[], str | bool], what: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (found := probe()):
        if time.monotonic() > deadline:
            sys.exit(f"the demo had no {what} within {PATIENCE:g} s")
        await asyncio.sleep(0.1)
    return str(found)


async def _take(pilot: Pilot[None], name: str, *keys: str, settled: float = 1.0) -> None:
    """Press the keys, once it is live; let what it brought be drawn, and save the picture."""
    while "live (Redis)" not in pilot.app.screen.query_one(StateLine).facts:
        await pilot.pause(0.05)
    await pilot.press(*keys)
    await pilot.pause(settled)
    path = HERE / f"{name}.svg"
    picture = pilot.app.export_screenshot(title="sagatrace-tui")
    # Without this librsvg leaves out the blanks at the beginning of a text.
    path.write_text(picture.replace("<svg ", '<svg xml:space="preserve" ', 1))
    sys.stdout.write(f"{path.relative_to(HERE.parent)}\n")


if __name__ == "__main__":
    asyncio.run(main())
