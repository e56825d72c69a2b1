"""Keys that arrive together, as over a slow connection, do the same as keys that arrive one by one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from pty_terminal import PtyTerminal
from sagas import UnreliableStore, failed, still
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.terminal.type_ahead import TypeAhead

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
    ],
    ids=repr,
)
def test_keys_that_arrive_together_act_in_turn(tui: Command, opened: list[str], keys: str, shown: str) -> None:
    with PtyTerminal(tui(*opened), size=(120, 40)) as terminal:
        terminal.until("CAUSE" if opened else "loan-2")
        terminal.press(keys, shown)


async def test_a_busy_app_holds_up_no_key_for_ever() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test():
        ahead, passed = TypeAhead(app, asyncio.get_running_loop()), threading.Event()

        def type_two_keys() -> None:
            for _ in range(2):
                ahead.sent()
                ahead.wait()
            passed.set()

        typing = threading.Thread(target=type_two_keys)
        typing.start()
        assert passed.wait(20)  # the app's own thread waits here, and handles no key
        typing.join()
