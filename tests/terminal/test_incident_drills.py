"""The questions of an on-call engineer, in a real terminal, with the keys counted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pty_terminal import PtyTerminal
from sagas import event, failed, recent, running, succeeded
from sagatrace.event import TraceEvent
from sagatrace.stores import open_store

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
REASON, REFUSED = "transfer_funds Insufficien", "stage:pay CardError"
LISTED = "CardError: card"  # in the list the error is first
SHORT = "Insuffici"  # of the reason, in a list that also says how many steps stand


class Keyboard:
    """A terminal whose keys are counted."""

    def __init__(self, url: str, size: tuple[int, int]) -> None:
        self.terminal = PtyTerminal([sys.executable, "-m", "sagatrace_tui", "--store", url], size=size)
        self.keys = 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.terminal.send(key)
            self.keys += 1

    def line_with(self, *texts: str, count: int | None = None) -> None:
        """Wait for a line that has all the texts and begins with the count."""

        def is_there() -> bool:
            lines = (line.lstrip("▌ ") for line in self.terminal.text.splitlines())
            start = "" if count is None else f"{count} "
            return any(line.startswith(start) and all(text in line for text in texts) for line in lines)

        self.terminal.until_true(is_there, f"no line with {texts} and count {count}")


def refused(trace_id: str) -> list[TraceEvent]:
    error = {"error": f"card of {trace_id} is refused", "error_type": "CardError"}
    return [
        event(trace_id, "wf", "workflow:order:started", 0),
        event(trace_id, "pay", "stage:pay:failed", 0.2, "wf", data=error),
        event(trace_id, "wf", "workflow:order:failed", 0.3, data={"error": "no payment"}),
    ]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return a store with two kinds of failure in the last ten minutes, one of them three times."""
    url = f"sqlite:///{tmp_path}/traces.db"
    store = open_store(url)
    store.append(recent(failed("loan-1"), 500))
    store.append(recent(failed("loan-2"), 300))
    store.append(recent(failed("loan-3"), 120))
    store.append(recent(refused("order-1"), 200))
    store.append(recent(succeeded("loan-4"), 100))
    store.append(recent(running("loan-5"), 30))
    store.append(recent(failed("loan-0"), 7200))
    store.close()
    return url


@SIZES
def test_failed_in_the_last_ten_minutes_and_why(url: str, size: tuple[int, int]) -> None:
    drill = Keyboard(url, size)
    with drill.terminal:
        for trace_id, ago, why in (("loan-3", "2m ago", SHORT), ("order-1", "3m ago", LISTED)):
            drill.line_with(*([trace_id] if size[0] >= 100 else []), ago, why)
        assert drill.keys == 0  # at most 2
        drill.press("2")
        drill.terminal.until("FAILED AT", "last 24 h")
        drill.line_with(REFUSED, count=1)
        drill.line_with(REASON, count=4)
        assert drill.keys == 1  # at most 3


@SIZES
def test_the_next_failed_trace_from_inside_a_trace(url: str, size: tuple[int, int]) -> None:
    drill = Keyboard(url, size)
    with drill.terminal:
        drill.line_with(LISTED)
        drill.press("e", "\r")
        drill.terminal.until("loan-3", "CAUSE")
        before = drill.keys
        drill.press("J")
        drill.terminal.until("order-1", "CAUSE")
        assert drill.keys - before == 1


@SIZES
def test_list_all_standing_steps(url: str, size: tuple[int, int]) -> None:
    drill = Keyboard(url, size)
    with drill.terminal:
        drill.line_with(SHORT, "1 of 1 standing")
        drill.press("3")
        why = "failed after 1 attempt" if size[0] == 80 else "failed after 1 attempt; its effect is unknown"
        for trace_id in ("loan-0", "loan-1", "loan-2", "loan-3"):
            drill.line_with(trace_id, "stage:credit", why)
        assert drill.keys == 1


@SIZES
def test_keys_that_arrive_together_work_in_their_order(url: str, size: tuple[int, int]) -> None:
    drill = Keyboard(url, size)
    with drill.terminal:
        drill.line_with(SHORT)
        drill.terminal.send("2/since:30m\r")
        drill.terminal.until("FAILED AT", "since:30m", "last 30m00s")
        drill.line_with(REASON, count=3)
