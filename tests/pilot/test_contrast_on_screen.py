"""All text on all screens is readable in both themes: its contrast to its background is at least 4.5 to 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from rich.color import ColorType
from rich.style import Style
from textual.color import Color

from contrast import contrast
from sagas import UnreliableStore, failed, many_alike, running, screen_text, still, succeeded, until
from sagatrace_tui.app import SagatraceApp

DRAWN = frozenset("─━═┄╍│┃├└⋯▔▁▂▃▄▅▆▇█▌▐▎▊╭╮╰╯▸▾×•≈·●")
"""Signs of frames, guides, bars and scrollbars: drawn, not read."""


def texts(app: SagatraceApp) -> Iterator[tuple[str, Style]]:
    """Yield each text on the screen with its style. For a dialog, skip the dimmed screen below."""
    strips = app.screen._compositor.render_strips()
    if app.screen.is_modal:
        sheet = app.screen.children[0].region
        strips = [strip.crop(sheet.x, sheet.right) for strip in strips[sheet.y : sheet.bottom]]
    for strip in strips:
        for segment in strip:
            read = "".join(sign for sign in segment.text if sign not in DRAWN).strip()
            if read and segment.style is not None:
                yield read, segment.style


def faint(app: SagatraceApp) -> list[str]:
    """Return the texts with too little contrast, each with its contrast."""
    found = []
    for text, style in texts(app):
        assert style.color is not None, text
        assert style.bgcolor is not None, text
        assert style.color.type is ColorType.TRUECOLOR
        ink, ground = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
        if style.reverse:
            ink, ground = ground, ink
        if (ratio := contrast(ink, ground)) < 4.5:
            found.append(f"{text}: {ratio:.2f}, {ink.hex} on {ground.hex}")
    return found


Step = tuple[Sequence[str], str]
"""Keys, and the text that they bring to the screen."""

LIST: list[Step] = [
    ([], "T7"),
    (["2"], "FAILED AT"),
    (["3"], "SINCE"),
    (["1", "slash"], "Esc"),
    ([*"status:fial"], "fial"),
    (["escape", "question_mark"], "Keys and signs"),
    (["escape", "colon"], "Search for commands"),
    ([*"the"], "Theme"),
]
TRACE: list[Step] = [
    ([], "CAUSE"),
    (["w"], "why: "),
    (["c"], "STILL STANDING"),
    (["c", "slash", *"credit"], "credit"),
    (["enter", "n"], "n N"),
    (["escape", "tab"], "Events"),
    (["G", "enter"], " characters"),
    (["escape", "tab", "f"], "paused (f resumes)"),
    (["f", "y"], "Copied"),
    (["left_square_bracket"], "replay: event 15 of 16"),
    (["escape", "question_mark"], "Keys and signs"),
    (["escape", "d"], "Compare"),
]


@pytest.mark.parametrize("theme", ["sagatrace-dark", "sagatrace-light"])
@pytest.mark.parametrize(("trace_id", "steps"), [(None, LIST), ("T7", TRACE)], ids=["list", "trace"])
async def test_every_text_can_be_read(theme: str, trace_id: str | None, steps: list[Step]) -> None:
    traces: list[Any] = [*failed("T7"), *succeeded("T8", 10), *running("T9", 20), *many_alike("T6", 9)]
    app = SagatraceApp(UnreliableStore(traces), trace_id=trace_id, clock=still)
    app.theme = theme
    found = []
    async with app.run_test(size=(120, 40)) as pilot:
        for keys, shown in steps:
            await pilot.press(*keys)
            await until(pilot, lambda shown=shown: shown in screen_text(app), shown, seconds=20)  # type: ignore[misc]
            await pilot.pause()
            found += [f"{keys}: {one}" for one in faint(app)]
    assert found == []
