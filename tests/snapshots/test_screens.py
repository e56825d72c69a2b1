"""Whole screens, compared with pictures that a person has checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot

from sagas import (
    UnreliableStore,
    approved,
    failed,
    many_alike,
    orphaned,
    running,
    screen_text,
    settlement,
    still,
    succeeded,
    until,
)
from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent
from sagatrace.stores import Search, TraceHits
from sagatrace_tui.app import SagatraceApp

Compare = Callable[..., bool]
SIZES = pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=["120x40", "80x24"])

WIDE = pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)], ids=["120x40", "80x24", "200x60"])


class OnceRead:
    """Mixed into a store that answers only its first search, so that the cost of later readings is not shown."""

    label = UnreliableStore.label

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.searched = False
        self.over = threading.Event()

    def search(self, search: Search) -> TraceHits:
        if self.searched and not self.over.wait(timeout=300):
            raise StoreError("the picture was never taken")
        self.searched = True
        return super().search(search)  # pyright: ignore[reportAttributeAccessIssue]  # of the store it is mixed into


class OnceReadMemory(OnceRead, UnreliableStore):
    pass


def every_outcome() -> Iterator[TraceEvent]:
    """Return 36 sagas of every outcome, the newest a few seconds old."""
    kinds = (succeeded, failed, succeeded, running, succeeded, orphaned)
    return (one for n in range(36) for one in kinds[n % 6](f"loan-{4200 + n}", 68 - 1.7 * n * n))


@pytest.fixture
def store() -> Iterator[OnceReadMemory]:
    store = OnceReadMemory(every_outcome())
    yield store
    store.over.set()


def ready(text: str, *keys: str) -> Callable[[Pilot[Any]], Any]:
    """Wait until the text is on screen and everything is read, then press the keys."""

    async def run(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: text in screen_text(pilot.app) and "reading" not in screen_text(pilot.app), text)
        await pilot.press(*keys)

    return run


@WIDE
def test_search(snap_compare: Compare, store: OnceReadMemory, size: tuple[int, int]) -> None:
    app = SagatraceApp(store, clock=still, is_demo=True)
    assert snap_compare(app, terminal_size=size, run_before=ready("loan-4200", "j"))


@SIZES
@pytest.mark.parametrize(
    ("key", "shown"), [("2", "kinds of failure"), ("3", "steps standing")], ids=["failures", "standing"]
)
def test_many_traces(snap_compare: Compare, size: tuple[int, int], key: str, shown: str) -> None:
    app = SagatraceApp(UnreliableStore(every_outcome()), clock=still)

    async def view(pilot: Pilot[Any]) -> None:
        await ready("loan-4200", key)(pilot)
        await ready(shown)(pilot)

    assert snap_compare(app, terminal_size=size, run_before=view)


def test_a_query_that_makes_no_sense(snap_compare: Compare, store: OnceReadMemory) -> None:
    app = SagatraceApp(store, clock=still)
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready("loan-4200", "slash", *"status:fial", "end"))


def in_view(view: str, size: tuple[int, int]) -> Callable[[Pilot[Any]], Any]:
    """Go to one of `VIEWS` of a failed saga."""
    shown, keys = VIEWS[view]

    async def run(pilot: Pilot[Any]) -> None:
        await ready("error 1 of 2", *keys)(pilot)
        await until(pilot, lambda: shown in screen_text(pilot.app) or size == (80, 24), shown)
        await pilot.pause(0.3)

    return run


VIEWS = {
    "tree": ("CAUSE", []),
    "why": ("why: 4 of 7", ["w"]),
    "compensation": ("STILL STANDING", ["c"]),
    "found": ("3 spans · n N", ["slash", *"credit", "enter", "n"]),
    "detail": ("Traceback", ["tab", "j", "j"]),
}


@SIZES
@pytest.mark.parametrize("view", VIEWS)
def test_trace(snap_compare: Compare, store: OnceReadMemory, size: tuple[int, int], view: str) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)
    assert snap_compare(app, terminal_size=size, run_before=in_view(view, size))


@WIDE
def test_compare(snap_compare: Compare, size: tuple[int, int]) -> None:
    store = UnreliableStore([*approved("loan-4198", 10), *failed("loan-4201", 66.3)])
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)

    async def compare(pilot: Pilot[Any]) -> None:
        await ready("error 1 of 2", "d")(pilot)
        await ready("3 differences")(pilot)

    assert snap_compare(app, terminal_size=size, run_before=compare)


def test_a_small_terminal(snap_compare: Compare, store: OnceReadMemory) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)
    assert snap_compare(app, terminal_size=(40, 12), run_before=ready("error 1 of 2"))


@SIZES
def test_a_compensating_trace_that_is_paused(snap_compare: Compare, size: tuple[int, int]) -> None:
    events = failed("loan-77", 70.2)
    store = UnreliableStore(events[:12])
    app = SagatraceApp(store, trace_id="loan-77", clock=still)

    async def pause(pilot: Pilot[Any]) -> None:
        await ready("transfer_funds  CAUSE")(pilot)
        store.append(events[:14])
        await ready("undoing stage:credit: 0 of 1 undone")(pilot)
        await pilot.press("f")
        store.append(events[:15])
        await until(pilot, lambda: "(f resumes) · +1 event" in screen_text(pilot.app), "the count")

    assert snap_compare(app, terminal_size=size, run_before=pause)


def test_light(snap_compare: Compare, store: OnceReadMemory) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)
    app.theme = "sagatrace-light"
    assert snap_compare(app, terminal_size=(120, 40), run_before=ready("error 1 of 2"))


def test_like_siblings(snap_compare: Compare) -> None:
    store = OnceReadMemory(many_alike("mailing", 214))
    app = SagatraceApp(store, trace_id="mailing", clock=still)
    assert snap_compare(app, terminal_size=(100, 20), run_before=ready("×214"))


@pytest.mark.parametrize("theme", ["sagatrace-dark", "sagatrace-light"])
def test_a_large_screen(snap_compare: Compare, store: OnceReadMemory, theme: str) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)
    app.theme = theme
    assert snap_compare(app, terminal_size=(200, 60), run_before=ready("error 1 of 2"))


@SIZES
def test_many_failures(snap_compare: Compare, size: tuple[int, int]) -> None:
    app = SagatraceApp(OnceReadMemory(settlement("orders")), trace_id="orders", clock=still)
    assert snap_compare(app, terminal_size=size, run_before=ready("error 1 of 29", "w", "e"))


def test_help(snap_compare: Compare, store: OnceReadMemory) -> None:
    app = SagatraceApp(store, trace_id="loan-4201", clock=still)
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready("error 1 of 2", "question_mark"))
