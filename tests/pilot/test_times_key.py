"""`t` switches the times of every view: relative, UTC or local, with the zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from sagas import UnreliableStore, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.times import Times

KOLKATA = ZoneInfo("Asia/Kolkata")


def app_of(trace_id: str | None = None) -> SagatraceApp:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id=trace_id, clock=still)
    app.times = Times(zone=KOLKATA)
    return app


@pytest.mark.parametrize(
    ("view", "relative", "utc", "local"),
    [
        ("1", "1m ago", "10:00:04Z", "15:30:04+0530"),
        ("2", "1m ago", "10:00:03Z", "15:30:03+0530"),
        ("3", "1m ago", "10:00:02Z", "15:30:02+0530"),
    ],
)
@pytest.mark.parametrize("width", [80, 120, 200])
async def test_t_in_the_lists(width: int, view: str, relative: str, utc: str, local: str) -> None:
    app = app_of()
    async with app.run_test(size=(width, 24)) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the list")
        await pilot.press(view)
        for shown, said in ((relative, None), (utc, "Times are UTC"), (local, "Times are local, +0530")):
            if said is not None:
                await pilot.press("t")
                await until(pilot, lambda said=said: said in screen_text(app), said)
            await until(pilot, lambda shown=shown: shown in screen_text(app), shown)
        await pilot.press("t")
        await until(pilot, lambda: relative in screen_text(app), "distances again")


async def test_t_in_a_trace() -> None:
    app = app_of("T7")
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: "CAUSE" in screen_text(app), "the trace")
        await pilot.press("t")
        axis = next(line for line in screen_text(app).splitlines() if line.startswith(" 7 spans"))
        assert "10:00:00Z" in axis
        assert "10:00:04Z" in axis
        await until(pilot, lambda: "10:00:03.400Z  +3.40s" in screen_text(app), "the detail")
        await pilot.press("t")
        await until(pilot, lambda: "15:30:03.400+0530  +3.40s" in screen_text(app), "the detail in local time")
        assert "at 2025-12-22 15:30:00+0530" in screen_text(app), "the header"
        assert "0Z" not in screen_text(app)
        await pilot.press("c")
        await until(pilot, lambda: "15:30:03.600+0530 for 800ms" in screen_text(app), "the compensation view")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "at 15:30:04.400+0530 (Esc leaves)" in screen_text(app), "the replay")
        await pilot.press("t")
        await until(pilot, lambda: "at 10:00:04.400Z (Esc leaves)" in screen_text(app), "the replay as distances")


async def test_t_is_a_letter_in_an_input_line() -> None:
    app = app_of()
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the list")
        await pilot.press("slash", "t")
        assert app.times.mode == "relative"
