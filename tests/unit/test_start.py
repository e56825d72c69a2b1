"""The app shows its list before it imports or contacts Redis."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, sys
sys.path.insert(0, "tests")
from sagas import UnreliableStore, still, succeeded
from sagatrace.mirror import Mirror
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.widgets.trace_list import TraceList

class Asked(Mirror):
    seen = None

    def connect(self, timeout=0.5):
        if Asked.seen is None:
            Asked.seen = app.screen.query_one(TraceList).row_count, "redis" in sys.modules
        raise ConnectionError("that is all")

store = UnreliableStore(succeeded("T", 70))
app = SagatraceApp(store, clock=still, mirror=Asked("redis://127.0.0.1:1", "memory:"))

async def main():
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(500):
            await pilot.pause(0.02)
            if Asked.seen is not None:
                break

asyncio.run(main())
print(*Asked.seen)
"""


def test_redis_is_imported_and_contacted_only_after_the_list_is_shown() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["1", "False"]
