"""Take the pictures in this directory, from a real demo: `python screenshots/take.py`.

Starts the demo, waits until it has a loan whose disbursement failed and was rolled back, and saves what the app shows.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from textual.pilot import Pilot

from sagatrace.stores import EventStore, open_store
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.demo import start_demo
from sagatrace_tui.model import Trace, build_trace

HERE = Path(__file__).parent
SIZE = (120, 32)
PATIENCE = 60.0  # seconds until the demo must have what is wanted
WANTED = "loan-L102"  # the demo's second scenario: rolled back


async def main() -> None:
    """Take them all."""
    with start_demo() as demo:
        store = open_store(demo.store_url, read_only=True)
        await _until_ended(store)
        app = SagatraceApp(store, subtitle="demo: loan sagas on real RQ workers")
        async with app.run_test(size=SIZE) as pilot:
            await _settled(pilot)
            _save(app, "search")
        app = SagatraceApp(store, trace_id=WANTED)
        async with app.run_test(size=SIZE) as pilot:
            await _settled(pilot)
            await pilot.press(*"jjjjjjjjjj")
            await _settled(pilot)
            _save(app, "trace")
            await pilot.press("question_mark")
            await _settled(pilot)
            _save(app, "help")
        store.close()


async def _until_ended(store: EventStore) -> None:
    deadline = time.monotonic() + PATIENCE
    while _trace(store).status in ("running", "unknown") or len(_trace(store, "loan-L106").spans) < 4:
        if time.monotonic() > deadline:
            sys.exit(f"the demo had no ended {WANTED} within {PATIENCE:g} s")
        await asyncio.sleep(0.1)


def _trace(store: EventStore, trace_id: str = WANTED) -> Trace:
    return build_trace(trace_id, store.fetch_trace(trace_id).events, now=time.time_ns() // 1000)


async def _settled(pilot: Pilot[None]) -> None:
    """Let polling come round and what it brought be drawn."""
    await pilot.pause(1.5)


def _save(app: SagatraceApp, name: str) -> None:
    path = HERE / f"{name}.svg"
    path.write_text(app.export_screenshot(title="sagatrace-tui"))
    sys.stdout.write(f"{path.relative_to(HERE.parent)}\n")


if __name__ == "__main__":
    asyncio.run(main())
