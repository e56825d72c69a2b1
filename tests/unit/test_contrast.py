"""Text can be read in both themes: 4.5 to 1 against every ground that it stands on (WCAG 2, level AA)."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme

from sagatrace_tui.theme import DARK, LIGHT, TONES

LINES_ONLY = {"guide"}
"""Tones of what is drawn, not read."""


def luminance(color: Color) -> float:
    parts = [part / 255 for part in color.rgb]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("tone", sorted(TONES.keys() - LINES_ONLY))
def test_every_tone_can_be_read(theme: Theme, tone: str) -> None:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    text = Color.parse(variables[TONES[tone].removeprefix("$")])
    for ground in ("background", "surface", "cursor-line", "cursor-line-blurred"):
        found = contrast(text, Color.parse(variables[ground]))
        assert found >= 4.5, f"{tone} on {ground}: {found:.2f}"
