"""All stores give the same screens: the same text in the same colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_screens import SIZES, VIEWS, OnceRead, OnceReadMemory, every_outcome, in_view, ready

from cosmos_server import CosmosAccount, cosmos_account
from sagas import still
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosAddress, CosmosStore
from sagatrace.stores.sqlite import SqliteStore
from sagatrace_tui.app import SagatraceApp

pytestmark = pytest.mark.xdist_group("screens-by-store")  # one process, as they share what takes long to set up

Picture = list[list[tuple[str, str]]]


class OnceReadSqlite(OnceRead, SqliteStore):
    pass


class OnceReadCosmos(OnceRead, CosmosStore):
    pass


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a filled SQLite store."""
    path = tmp_path_factory.mktemp("stores") / "traces.db"
    store = SqliteStore(path)
    store.append(every_outcome())
    store.close()
    return path


@pytest.fixture(scope="module")
def container() -> Iterator[CosmosAddress]:
    """Return a filled container, in the account of the environment or in the test server."""
    with cosmos_account() as account:
        yield from _filled(account)


def _filled(account: CosmosAccount) -> Iterator[CosmosAddress]:
    address = account.address()
    provision(address, max_wait=30.0)
    store = CosmosStore(address, max_wait=60.0)
    store.append(every_outcome())
    store.close()
    yield address
    account.drop(address)


@pytest.fixture(params=["sqlite", "cosmos"])
def store(request: pytest.FixtureRequest) -> Iterator[OnceReadSqlite | OnceReadCosmos]:
    if request.param == "sqlite":
        store = OnceReadSqlite(request.getfixturevalue("file"), read_only=True)
    else:
        store = OnceReadCosmos(request.getfixturevalue("container"), read_only=True, max_wait=20.0)
    yield store
    store.over.set()
    store.close()


async def picture(app: SagatraceApp, size: tuple[int, int], run_before: Callable[..., Any]) -> Picture:
    """Return each row's pieces of text with their styles."""
    async with app.run_test(size=size) as pilot:
        await run_before(pilot)
        rows = app.screen._compositor.render_strips()
        # But for the state line, which says how this very store is followed: that is not the same for all.
        rows = [row for row in rows if "polling every" not in row.text]
        return [[(segment.text, str(segment.style)) for segment in row] for row in rows]


async def both(store: Any, size: tuple[int, int], run_before: Callable[..., Any], **options: Any) -> list[Picture]:
    """Return the picture from that store, and the picture from the memory store, which the snapshots show."""
    memory = OnceReadMemory(every_outcome())
    try:
        apps = [SagatraceApp(one, clock=still, **options) for one in (store, memory)]
        return [await picture(app, size, run_before) for app in apps]
    finally:
        memory.over.set()


@SIZES
async def test_the_list_is_the_same(store: OnceReadSqlite | OnceReadCosmos, size: tuple[int, int]) -> None:
    found, wanted = await both(store, size, ready("loan-4200", "j"))
    assert found == wanted


@SIZES
@pytest.mark.parametrize("view", VIEWS)
async def test_a_trace_is_the_same(store: OnceReadSqlite | OnceReadCosmos, size: tuple[int, int], view: str) -> None:
    found, wanted = await both(store, size, in_view(view, size), trace_id="loan-4201")
    assert found == wanted
    assert any("loan-4201" in text for row in found for text, _ in row)
