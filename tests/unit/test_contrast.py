"""Text is readable in both themes: its contrast to each background is at least 4.5 to 1 (WCAG 2, level AA)."""

from __future__ import annotations

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import Theme

from contrast import contrast
from sagatrace_tui.theme import DARK, DARK_256, LIGHT, LIGHT_256, STATUS_TONES, TONES, VERDICT_TONES

LINES_ONLY = {"guide"}
"""Tones of what is drawn, not read."""


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("tone", sorted(TONES.keys() - LINES_ONLY))
def test_every_tone_can_be_read(theme: Theme, tone: str) -> None:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    text = Color.parse(variables[TONES[tone].removeprefix("$")])
    for ground in ("background", "surface", "cursor-line", "cursor-line-blurred"):
        found = contrast(text, Color.parse(variables[ground]))
        assert found >= 4.5, f"{tone} on {ground}: {found:.2f}"


@pytest.mark.parametrize("theme", [DARK_256, LIGHT_256], ids=lambda theme: theme.name)
@pytest.mark.parametrize("tone", sorted(TONES.keys() - LINES_ONLY))
def test_every_tone_can_be_read_in_256_colours(theme: Theme, tone: str) -> None:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    text = of_256(Color.parse(variables[TONES[tone].removeprefix("$")]))
    for ground in ("background", "surface", "cursor-line", "cursor-line-blurred"):
        found = contrast(text, of_256(Color.parse(variables[ground])))
        assert found >= 4.5, f"{tone} on {ground}: {found:.2f}"


@pytest.mark.parametrize("theme", [DARK_256, LIGHT_256], ids=lambda theme: theme.name)
def test_the_cursor_line_differs_from_other_lines_in_256_colours(theme: Theme) -> None:
    grounds = ("background", "cursor-line", "cursor-line-blurred")
    variables = {**theme.to_color_system().generate(), **theme.variables}
    assert len({of_256(Color.parse(variables[ground])).hex for ground in grounds}) == len(grounds)


def of_256(color: Color) -> Color:
    """Return the nearest of 256 colours, as the app sends it."""
    sent = color.rich_color.downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
    return Color(*sent)


def test_every_meaning_has_a_tone() -> None:
    assert {*STATUS_TONES.values(), *VERDICT_TONES.values()} <= TONES.keys()
