"""The requests of open screens and tails to a Cosmos DB account, counted by a proxy, and their price a month."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from cosmos_server import CosmosAccount
from counting_proxy import Count, counting
from sagas import failed, still, succeeded
from sagatrace.stores import Search
from sagatrace.stores.cosmos.store import CosmosStore
from sagatrace_tui.commands.billing import Charges, Load, bill, polls_per_hour
from sagatrace_tui.commands.cost import cost
from sagatrace_tui.commands.prices import Prices
from sagatrace_tui.live.list_feed import ListFeed
from sagatrace_tui.live.refresh import LOOK, Refresh
from sagatrace_tui.live.status import CALM, QUIET, SWEEP
from sagatrace_tui.live.tail import follow_store
from sagatrace_tui.live.trace_feed import TraceFeed

NOW_TOO = frozenset({LOOK})
PATIENT = 60.0


class Watched:
    """A store with three ended traces, and a watcher behind a counting proxy."""

    def __init__(self, account: CosmosAccount, stack: ExitStack) -> None:
        self._account, self._stack = account, stack
        self.direct = stack.enter_context(account.store())
        for number in range(3):
            self.direct.append(failed(f"ended-{number}"))

    def through(self) -> tuple[CosmosStore, Count]:
        proxy, count = self._stack.enter_context(counting(self._account.host))
        address = self._account.behind(proxy.port).address(container=self.direct.address.container)
        store = CosmosStore(address, max_wait=PATIENT)
        self._stack.callback(store.close)
        return store, count


@pytest.fixture
def watched(local_account: CosmosAccount) -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(local_account, stack)


def test_a_quiet_list_sends_one_request_a_read_and_reads_no_document(watched: Watched) -> None:
    store, count = watched.through()
    feed = ListFeed(store, still)
    for _ in range(2):
        assert list(feed.read(NOW_TOO))[-1].fault is None
    count.clear()
    for _ in range(10):
        list(feed.read(NOW_TOO))
    assert (count.requests, count.documents) == (10, 0)


def test_a_quiet_open_trace_sends_one_request_a_read_and_reads_no_document(watched: Watched) -> None:
    store, count = watched.through()
    feed = TraceFeed(store, "ended-0", still)
    for _ in range(2):
        list(feed.read(NOW_TOO))
    count.clear()
    for _ in range(10):
        list(feed.read(NOW_TOO))
    assert (count.requests, count.documents) == (10, 0)
    for _ in range(10):
        list(feed.read())
    assert count.requests == 10  # an ended trace is not read early


def test_a_burst_is_read_once_by_each_watcher(watched: Watched, next_second: Callable[[], object]) -> None:
    listed, of_list = watched.through()
    feed = ListFeed(listed, still)
    for _ in range(2):
        list(feed.read(NOW_TOO))
    tailed, of_tail = watched.through()
    tail = follow_store(tailed, None)
    next(tail)
    next_second()
    of_list.clear()
    of_tail.clear()
    burst = [event for number in range(500) for event in succeeded(f"burst-{number}")]
    assert len(burst) == 3000
    watched.direct.append(burst)
    ids: list[str] = []
    while len(ids) < len(burst):
        ids += [event.id for event in next(tail).events]
    tail.close()
    rows = [list(feed.read(NOW_TOO))[-1].rows for _ in range(3)][-1]
    assert sorted(ids) == sorted(event.id for event in burst)
    assert of_tail.twice == 0
    assert of_tail.documents == len(burst)
    assert len(rows) >= 500
    assert of_list.twice == 0
    assert of_list.documents == len(burst)
    assert of_list.requests < 20


@pytest.mark.parametrize(
    ("quiet", "over", "free", "every"),
    [
        (0.0, False, False, 1.0),
        (QUIET - 1, False, False, 1.0),
        (QUIET, False, False, CALM),
        (QUIET, False, True, 1.0),
        (0.0, True, False, SWEEP),
    ],
)
def test_a_store_that_charges_is_read_less_often_without_changes(
    monkeypatch: pytest.MonkeyPatch, quiet: float, over: bool, free: bool, every: float
) -> None:
    now = [1000.0]
    monkeypatch.setattr("sagatrace_tui.live.refresh.time.monotonic", lambda: now[0])
    refresh = Refresh()
    refresh.is_free = free
    now[0] += quiet
    with refresh.reading(is_over=over):
        pass
    assert refresh.every == every
    refresh.ask()  # a key that refreshes
    refresh.is_free = False
    with refresh.reading():
        pass
    assert refresh.every == 1.0


def test_three_open_screens_cost_less_than_ten_dollars_a_month(watched: Watched) -> None:
    """A thousand traces a day. Requests are counted here; the charge for each is assumed."""
    store, count = watched.through()
    feed = ListFeed(store, still)
    for _ in range(2):
        list(feed.read(NOW_TOO))
    count.clear()
    readings = 20
    for _ in range(readings):
        list(feed.read(NOW_TOO))
    polls = count.requests / readings
    count.clear()
    search = store.search(Search(status="failed"))
    assert count.requests == search.cost.round_trips
    load = Load(1000, 20, 200, 200, screens=3, shippers=3)
    month = bill(load, replace(Charges(), polls=polls), Prices())
    assert polls_per_hour(load) < 1800
    assert 5 < month.total < 10
    printed = CliRunner().invoke(cost, ["--screens", "3", "--shippers", "3"]).output
    assert printed.startswith(f"${month.total:.2f} a month\n")
