"""The requests of watchers of a Cosmos DB store: a list, an ended trace and a tail of all, quiet and in a burst.

    python tests/benchmarks/bench_cosmos_watching.py [SECONDS]

Each watcher has a counting proxy before the test server. Promise: quiet, at most one request for each read
and no document twice; of a burst of 3 000 events each watcher reads each event once.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cosmos_server import CosmosAccount, running_cosmos
from counting_proxy import Count, counting
from sagas import failed, succeeded
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.live.list_feed import ListFeed
from sagatrace_tui.live.poller import Poller
from sagatrace_tui.live.tail import follow_store
from sagatrace_tui.live.trace_feed import TraceFeed

BURST = 3_000
PATIENT = 60.0


class Watcher:
    """A watcher with its own proxy. `seen` is the number of events of the burst that it has received."""

    def __init__(self, name: str, account: CosmosAccount, container: str, stack: ExitStack) -> None:
        self.name = name
        proxy, self.count = stack.enter_context(counting(account.host))
        self.store = CosmosStore(account.behind(proxy.port).address(container=container), max_wait=PATIENT)
        self.readings = 0
        self.seen = 0

    def poll(self, read: Callable[[frozenset[str]], Iterator[object]], stack: ExitStack) -> None:
        def published(_: object) -> None:
            self.readings += 1

        poller = Poller(read, published)
        stack.callback(poller.stop)
        poller.start()

    def tail(self) -> None:
        for step in follow_store(self.store, None):
            self.readings += 1
            self.seen += len(step.events)

    def show(self, count: Count, seconds: float) -> None:
        rate = count.requests / seconds
        print(
            f"  {self.name:12} {count.requests:6} requests ({rate:.2f}/s)  {count.documents:6} documents  "
            f"{len(count.versions):6} versions, {count.twice} of them more than once"
        )


def main(seconds: float) -> None:
    with ExitStack() as stack:
        account = stack.enter_context(running_cosmos())
        direct = stack.enter_context(account.store(max_wait=PATIENT))
        for number in range(3):
            direct.append(failed(f"ended-{number}"))
        container = direct.address.container
        watchers = [Watcher(name, account, container, stack) for name in ("list", "ended trace", "tail")]
        listed, ended, tail = watchers
        listed.poll(ListFeed(listed.store).read, stack)
        ended.poll(TraceFeed(ended.store, "ended-0").read, stack)
        threading.Thread(target=tail.tail, daemon=True).start()
        time.sleep(5)
        for watcher in watchers:
            watcher.count.clear()
        time.sleep(seconds)
        print(f"quiet for {seconds:g} s, three ended traces")
        for watcher in watchers:
            watcher.show(watcher.count, seconds)
            watcher.count.clear()
        traces = [succeeded(f"burst-{number}") for number in range(BURST // len(succeeded("x")))]
        events = [event for trace in traces for event in trace]
        began = time.perf_counter()
        direct.append(events)
        print(f"a burst of {len(events)} events in {time.perf_counter() - began:.1f} s, then {seconds:g} s")
        time.sleep(seconds)
        for watcher in watchers:
            watcher.show(watcher.count, seconds)
        print(f"  the tail yielded {tail.seen} events")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
