"""How it looks: two themes, and one table from what a thing means to the colour it gets.

A tone is a meaning (`bad`, `muted`), never a colour: every theme, also one picked in the palette, gives it its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from textual.app import App
from textual.theme import Theme

__all__ = ["DARK", "LIGHT", "STATUS_TONES", "TONES", "TONE_CLASSES", "TONE_CSS", "ThemedApp"]

DARK: Final = Theme(
    name="sagatrace-dark",
    dark=True,
    background="#11151c",
    surface="#171c26",
    panel="#2a3342",
    foreground="#d6dce7",
    primary="#82aaff",
    secondary="#b4a3e8",
    accent="#6fc8dc",
    success="#86c993",
    warning="#e6b862",
    error="#f47f86",
    variables={
        "foreground-muted": "#97a3b7",
        "guide-line": "#4a5873",
        "cursor-line": "#263450",
        "cursor-line-blurred": "#1c2431",
        "scrollbar": "#39455a",
        "scrollbar-hover": "#4a5973",
        "scrollbar-active": "#82aaff",
        "scrollbar-background": "#11151c",
        "scrollbar-background-hover": "#11151c",
        "scrollbar-background-active": "#11151c",
    },
)
LIGHT: Final = Theme(
    name="sagatrace-light",
    dark=False,
    background="#fbfbf8",
    surface="#f1f2ee",
    panel="#d4d8d6",
    foreground="#23292f",
    primary="#0b5cad",
    secondary="#6a4bb8",
    accent="#09697c",
    success="#176b30",
    warning="#7d5300",
    error="#bd1f2d",
    variables={
        "foreground-muted": "#56606a",
        "guide-line": "#a9b3ba",
        "cursor-line": "#d3e3f7",
        "cursor-line-blurred": "#e7ecef",
        "scrollbar": "#b9c1c6",
        "scrollbar-hover": "#9aa5ac",
        "scrollbar-active": "#0b5cad",
        "scrollbar-background": "#fbfbf8",
        "scrollbar-background-hover": "#fbfbf8",
        "scrollbar-background-active": "#fbfbf8",
    },
)

_FOREIGN: Final[Mapping[str, str]] = {
    "guide-line": "#808080",
    "cursor-line": "#808080 30%",
    "cursor-line-blurred": "#808080 15%",
}

TONES: Final[Mapping[str, str]] = {
    "plain": "$foreground",
    "muted": "$foreground-muted",
    "ok": "$success",
    "bad": "$error",
    "warn": "$warning",
    "busy": "$accent",
    "id": "$secondary",
    "key": "$primary",
    "guide": "$guide-line",
}
TONE_CLASSES: Final = frozenset(f"tone--{tone}" for tone in TONES)
TONE_CSS: Final = "\n".join(f".tone--{tone} {{ color: {color}; }}" for tone, color in TONES.items())

STATUS_TONES: Final[Mapping[str, str]] = {
    "success": "ok",
    "failed": "bad",
    "running": "busy",
    "queued": "muted",
    "stopped": "warn",
    "canceled": "warn",
    "point": "muted",
    "unknown": "warn",
}


class ThemedApp(App[None]):
    """An app that our widgets can live in: it has our themes, and gives others what they lack."""

    def __init__(self) -> None:
        super().__init__()
        # Over SSH an animated scroll is a dozen frames where one would do.
        self.animation_level = "none"
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The variables of ours that foreign themes lack."""
        return dict(_FOREIGN)
