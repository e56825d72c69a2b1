"""The first screen: it fills while it reads, follows the store, reports faults, and opens traces."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.events import Key

from sagas import UnreliableStore, failed, running, screen_text, still, succeeded, until
from sagatrace.stores import open_store
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.incident_panes import IncidentPanes
from sagatrace_tui.widgets.query_line import QueryLine
from sagatrace_tui.widgets.trace_list import TraceList


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 12)])
async def test_the_newest_traces_are_listed_with_status_in_words(size: tuple[int, int]) -> None:
    store = UnreliableStore([*failed("T-failed", 1), *succeeded("T-done", 20), *running("T-runs", 40)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=size) as pilot:
        verdict = "⚠ rollback incomplete" if size[0] >= 80 else "⚠ rollback"
        await until(pilot, lambda: verdict in screen_text(app), "the failed trace")
        lines = screen_text(app).partition("──")[0].splitlines()  # without the preview
        words = [word for line in lines for word in line.split() if word in WORDS]
        assert words == ["running", "succeeded", "rollback"]


WORDS = {"running", "succeeded", "rollback"}


async def test_results_show_while_more_are_read() -> None:
    store = UnreliableStore([*succeeded("first", 50), *succeeded("second", 1)])
    store.slow = True
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: screen_text(app).count("… reading  ") == 2, "two unread rows")
        store.free.release()
        await until(pilot, lambda: "✔ succeeded" in screen_text(app), "the first one read")
        assert screen_text(app).count("… reading  ") == 1
        store.free.release(1000)
        await until(pilot, lambda: screen_text(app).count("✔ succeeded") == 2, "both read")


async def test_traces_written_while_it_runs_appear_and_the_cursor_stays() -> None:
    store = UnreliableStore(succeeded("old", 1))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✔ succeeded" in screen_text(app), "the old trace")
        store.append(failed("new", 30))
        await until(pilot, lambda: "⚠ rollback incomplete" in screen_text(app), "the new trace, without a key")
        assert "▌⚠ rollback incomplete" in screen_text(app), "an unmoved cursor stays at the newest"
        await pilot.press("j")
        assert "▌✔ succeeded" in screen_text(app)
        store.append(failed("newer", 40))
        await until(pilot, lambda: "3 traces" in screen_text(app), "the third trace")
        assert "▌✔ succeeded" in screen_text(app), "a cursor that was moved stays on its trace"


async def test_reaching_the_end_brings_older_traces() -> None:
    store = UnreliableStore(one for n in range(120) for one in succeeded(f"t{n:03}", n / 2))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "50+ traces" in screen_text(app), "a first page")
        traces = app.screen.query_one(TraceList)
        while traces.row_count < 120:
            listed = traces.row_count
            await pilot.press("G")
            await until(pilot, lambda listed=listed: traces.row_count > listed, f"more than {listed} traces")
        await pilot.press("G")
        await until(pilot, lambda: "120 traces" in screen_text(app), "that these are all")
        assert "t000" in screen_text(app).splitlines()[-3]


async def test_the_screen_of_an_empty_store_says_what_to_do() -> None:
    app = SagatraceApp(UnreliableStore(), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No traces yet" in screen_text(app), "the empty state")
        assert "sagatrace import FILE" in screen_text(app)
        await pilot.press("enter", "j", "G")
        assert isinstance(app.screen, SearchScreen)


async def test_the_demo_does_not_say_how_to_start_the_demo() -> None:
    app = SagatraceApp(UnreliableStore(), clock=still, is_demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "The demo's first sagas appear within seconds" in screen_text(app), "the empty demo")
        assert "--demo" not in screen_text(app)


@pytest.mark.parametrize("keys", [("c",), ("3", "c")])
async def test_c_opens_the_compensations_of_a_trace_and_keeps_the_query(keys: tuple[str, ...]) -> None:
    app = SagatraceApp(UnreliableStore([*failed("T7"), *succeeded("T8")]), clock=still)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"status:failed", "enter")
        await until(pilot, lambda: "1 trace ·" in screen_text(app), "the query's traces")
        await pilot.press(*keys[:-1])
        await until(pilot, lambda: app.screen.query_one(IncidentPanes).chosen == "T7", "the trace")
        await pilot.press(keys[-1])
        await until(pilot, lambda: "STILL STANDING" in screen_text(app), "the compensations")
        await pilot.press("q")
        await until(pilot, lambda: "status:failed" in screen_text(app), "the list")


async def test_a_failing_store_is_reported_in_place_and_r_retries() -> None:
    store = UnreliableStore(succeeded("kept", 1))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✔ succeeded" in screen_text(app), "the trace")
        store.cut_off = True
        await pilot.press("r")
        await until(pilot, lambda: "The store could not be read" in screen_text(app), "the fault")
        text = screen_text(app)
        assert "cannot reach the store at loans-db:5432: connection refused" in text
        assert "✔ succeeded" in text
        store.cut_off = False
        await pilot.press("r")
        await until(pilot, lambda: "could not be read" not in screen_text(app), "the fault gone")
        assert "1 trace ·" in screen_text(app)


async def test_a_store_that_appears_later_is_picked_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/later.db"
    app = SagatraceApp(open_store(url, read_only=True), clock=still)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "no store at" in screen_text(app), "the missing store")
        assert "No store yet" in screen_text(app)
        await until(pilot, lambda: "polling every 1" in screen_text(app), "the state line")
        writer = open_store(url)
        writer.append(succeeded("first", 1))
        writer.close()
        await until(pilot, lambda: "✔ succeeded" in screen_text(app), "the first trace")


async def test_enter_opens_a_trace_q_and_escape_come_back_and_only_q_quits() -> None:
    app = SagatraceApp(UnreliableStore(succeeded("one", 1)), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✔ succeeded" in screen_text(app), "the trace")
        for back in ("q", "escape"):
            await pilot.press("enter")
            assert isinstance(app.screen, TraceScreen)
            await pilot.press(back)
            assert isinstance(app.screen, SearchScreen)
            assert app.query_one(TraceList).has_focus
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, SearchScreen)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running, "the end")


async def test_f_pauses_the_list_and_counts_the_changes() -> None:
    store = UnreliableStore([*running("runs", 70), *succeeded("one", 60)])
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "polling every 1" in screen_text(app) and "✔" in screen_text(app), "the list")
        await pilot.press("f")
        store.append([*failed("new", 71), *running("runs", 72)])
        await until(pilot, lambda: "paused (f resumes) · +2 changes" in screen_text(app), "the count")
        assert "rollback incomplete" not in screen_text(app)
        assert "changes · as of 10:01:15Z" in screen_text(app), "the ages of the list are as old"
        await pilot.press("f")
        await until(pilot, lambda: "⚠ rollback incomplete" in screen_text(app), "the new trace")
        [row] = [line for line in screen_text(app).splitlines() if "rollback incomplete" in line]
        assert row[0] in "+▌"
        await until(pilot, lambda: "paused" not in screen_text(app), "the state")


async def test_the_store_is_not_read_while_another_screen_is_on_top() -> None:
    store = UnreliableStore(running("runs", 70))
    app = SagatraceApp(store, clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "▶ running" in screen_text(app), "the trace")
        await pilot.press("question_mark")
        poller = app.screen_stack[0].poller  # type: ignore[attr-defined]
        await until(pilot, lambda: poller._paused, "the pause")
        await pilot.press("escape")
        store.append(failed("new", 71))
        await until(pilot, lambda: "⚠ rollback incomplete" in screen_text(app), "the next read")


async def test_a_hanging_store_does_not_block_the_end_of_the_app() -> None:
    store = UnreliableStore(succeeded("one", 1))
    store.slow = True
    app = SagatraceApp(store, clock=still)
    before = set(threading.enumerate())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "… reading" in screen_text(app), "the reading to begin")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not app.is_running, "the end")
    poller = next(thread for thread in set(threading.enumerate()) - before if thread.name == "sagatrace-poller")
    store.free.release(10)
    poller.join(timeout=120)
    assert not poller.is_alive()
    assert store.fetches == ["one"]


async def test_a_key_that_edits_the_query_acts_before_the_letters_after_it() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("/", *"status")
        for key in ("ctrl+u", "T", "8", "backspace", "7"):
            app.post_message(Key(key, key if len(key) == 1 else None))
        line = app.screen.query_one(QueryLine)
        await until(pilot, lambda: line.input.value == "T7", "the query")


async def test_the_query_line_shows_no_query_after_escape_has_cleared_it() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("/", *"T7", "enter")
        line = app.screen.query_one(QueryLine)
        await until(pilot, lambda: not line.has_class("-open"), "the query")
        await pilot.press("escape", "/", *"status:foo", "enter", "escape")
        assert line.input.value == ""
