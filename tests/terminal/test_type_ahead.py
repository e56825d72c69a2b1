"""Keys that arrive together, as over a slow connection, do the same as keys that arrive one by one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from pty_terminal import PtyTerminal
from sagas import UnreliableStore, failed, still
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.terminal.type_ahead import URGENT, TypeAhead

Command = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("opened", "keys", "shown"),
    [
        (["loan-2"], "\t/transfer_funds", " /transfer_funds"),
        (["loan-2"], "/credit\r\t/transfer_funds", " /transfer_funds"),
        (["loan-2"], "c/credit\rd", "DIFFERS"),
        (["loan-2"], "/credit\rq/status:failed", " status:failed"),
        ([], "\r/transfer_funds", " /transfer_funds"),
        ([], "/status:failed\r2", "kinds of failure"),
        ([], "/status:failed\r2/\x15status:running", " status:running"),
        ([], "/status:failed\r?", "Keys and signs"),
        ([], ":zzz\r", "No matches found"),
    ],
    ids=repr,
)
def test_keys_that_arrive_together_act_in_turn(tui: Command, opened: list[str], keys: str, shown: str) -> None:
    with PtyTerminal(tui(*opened), size=(120, 40)) as terminal:
        terminal.until("CAUSE" if opened else "loan-2")
        terminal.press(keys, shown)


@pytest.fixture
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key wait for ever."""
    monkeypatch.setattr("sagatrace_tui.terminal.type_ahead.PATIENCE", 600.0)


@pytest.mark.usefixtures("for_ever")
async def test_a_key_waits_for_a_busy_app() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test() as pilot:
        ahead, done = TypeAhead(app, asyncio.get_running_loop(), threading.Event()), list[str]()

        def be_busy() -> None:
            time.sleep(3 * URGENT)
            done.append("the key")

        def type_two_keys() -> None:
            app.call_later(be_busy)
            ahead.sent("enter")
            ahead.wait("slash")
            done.append("the next key")

        await asyncio.to_thread(type_two_keys)
        await pilot.pause()
        assert done == ["the key", "the next key"]


@pytest.mark.usefixtures("for_ever")
@pytest.mark.parametrize(("keys", "ends"), [(("q", "ctrl+c"), False), (("j", "j", "j"), False), (("q", "j"), True)])
async def test_a_stuck_app_holds_up_no_key_that_ends_it_or_repeats_and_none_at_its_end(
    keys: tuple[str, ...], ends: bool
) -> None:
    app, over = SagatraceApp(UnreliableStore(failed("T7")), clock=still), threading.Event()
    async with app.run_test():
        ahead = TypeAhead(app, asyncio.get_running_loop(), over)

        def type_keys() -> None:
            for key in keys:
                ahead.wait(key)
                ahead.sent(key)

        if ends:
            over.set()
        typing = threading.Thread(target=type_keys, daemon=True)
        typing.start()
        typing.join(60)  # the app's own thread waits here, and handles no key
        assert not typing.is_alive()
