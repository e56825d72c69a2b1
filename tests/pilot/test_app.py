"""The app as a whole: quitting from every screen, every theme, and the terminal's own colours."""

from __future__ import annotations

import pytest

from sagas import UnreliableStore, failed, screen_text, still, until
from sagatrace_tui.app import SagatraceApp


@pytest.mark.parametrize("keys", [[], ["enter"], ["enter", "tab"], ["question_mark"], ["ctrl+p"]])
async def test_ctrl_c_quits_immediately_from_every_screen(keys: list[str]) -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "rollback incomplete" in screen_text(app), "the list")
        await pilot.press(*keys, "ctrl+c")
        await until(pilot, lambda: not app.is_running, "the end")
    assert app.return_code == 0


async def test_the_end_of_the_live_source_is_shown_on_screen() -> None:
    """Otherwise a list that waits forever looks like an empty list."""
    words: list[str] = []
    app = SagatraceApp(UnreliableStore(failed("T7")), clock=still, trouble=lambda: words[0] if words else None)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: "T7" in screen_text(app), "the list")
        words.append("redis-server ended with [status] 1")
        await until(pilot, lambda: "redis-server ended with [status] 1" in screen_text(app), "the reason")


async def test_every_theme_of_the_palette_draws_both_screens() -> None:
    app = SagatraceApp(UnreliableStore(failed("T7")), trace_id="T7", clock=still)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "release_credit" in screen_text(app), "the tree")
        for name in app.available_themes:
            app.theme = name
            await pilot.pause()
            assert "release_credit" in screen_text(app)
        await pilot.press("q")
        for name in app.available_themes:
            app.theme = name
            await until(pilot, lambda: "rollback incomplete" in screen_text(app), f"the list in {name}")
