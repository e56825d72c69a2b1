"""Whole screens, compared with how they looked when a person last looked at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot

from sagas import UnreliableStore, failed, orphaned, running, screen_text, still, succeeded, until
from sagatrace.errors import StoreError
from sagatrace.events import TraceEvent
from sagatrace.stores import Search, TraceHits
from sagatrace_tui.app import SagatraceApp

Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])


class OnceRead(UnreliableStore):
    """A store that answers its first search only: what later readings cost is no part of the picture."""

    def __init__(self, events: Iterable[TraceEvent]) -> None:
        super().__init__(events)
        self.searched = False
        self.over = threading.Event()

    def search(self, search: Search) -> TraceHits:
        if self.searched and not self.over.wait(timeout=60):
            raise StoreError("the picture was never taken")
        self.searched = True
        return super().search(search)


@pytest.fixture
def store() -> Iterator[OnceRead]:
    """Three dozen sagas of every outcome, the newest a few seconds old."""
    kinds = (succeeded, failed, succeeded, running, succeeded, orphaned)
    events = (one for n in range(36) for one in kinds[n % 6](f"loan-{4200 + n}", 68 - 1.7 * n * n))
    store = OnceRead(events)
    yield store
    store.over.set()


def ready(text: str, *keys: str) -> Callable[[Pilot[Any]], Any]:
    """Wait until the text is on screen and all is read, then press the keys."""

    async def run(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: text in screen_text(pilot.app) and "reading" not in screen_text(pilot.app), text)
        await pilot.press(*keys)

    return run


@SIZES
def test_search(snap_compare: Compare, store: OnceRead, size: tuple[int, int]) -> None:
    app = SagatraceApp(store, clock=still, subtitle="demo: loan sagas on real RQ workers")
    assert snap_compare(app, terminal_size=size, run_before=ready("loan-4200", "j"))


@SIZES
def test_trace(snap_compare: Compare, store: OnceRead, size: tuple[int, int]) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)

    async def on_the_failed_job(pilot: Pilot[Any]) -> None:
        await ready("release_credit", "G", "k")(pilot)
        await until(pilot, lambda: "transfer_funds\nstatus" in shown(pilot), "its detail")

    def shown(pilot: Pilot[Any]) -> str:
        return str(pilot.app.screen.query_one("SpanDetail Static").render())

    assert snap_compare(app, terminal_size=size, run_before=on_the_failed_job)


def test_help(snap_compare: Compare, store: OnceRead) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready("release_credit", "question_mark"))
