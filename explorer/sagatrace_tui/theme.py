"""The themes, and the table from tones to colours.

A tone is a meaning (`bad`, `muted`), never a colour. Each theme assigns it a colour, also Textual's own themes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable

from rich.console import RenderableType
from textual import constants
from textual.app import App
from textual.reactive import reactive
from textual.theme import BUILTIN_THEMES, Theme
from textual.widget import Widget

from sagatrace.errors import SettingsError
from sagatrace_tui.terminal.detect import Terminal
from sagatrace_tui.terminal.driver import TerminalDriver
from sagatrace_tui.theme_choice import ThemeChoice
from sagatrace_tui.times import Times

__all__ = [
    "DARK",
    "DARK_16",
    "DARK_256",
    "LIGHT",
    "LIGHT_16",
    "LIGHT_256",
    "STATUS_TONES",
    "TONES",
    "VERDICT_TONES",
    "ShowsTimes",
    "ThemedApp",
    "times_of",
]

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


def _indexed(theme: Theme, cursor_line: str, blurred: str) -> Theme:
    """Return the theme for 256 colours. The colours nearest to its cursor lines would make text hard to read."""
    lines = {"cursor-line": cursor_line, "cursor-line-blurred": blurred}
    return replace(theme, variables={**theme.variables, **lines})


DARK_256: Final = _indexed(DARK, "#3a3a3a", "#262626")
LIGHT_256: Final = _indexed(LIGHT, "#d7ffff", "#f6f6f6")


def _sixteen(name: str, warning: str, *, dark: bool) -> Theme:
    """Return a theme of the terminal's own sixteen colours, on its own background."""
    return Theme(
        name=name,
        ansi=True,
        dark=dark,
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        foreground="ansi_default",
        primary="ansi_cyan",
        secondary="ansi_magenta",
        accent="ansi_cyan",
        success="ansi_green",
        warning=warning,
        error="ansi_red",
        variables={
            **BUILTIN_THEMES["ansi-dark" if dark else "ansi-light"].variables,
            "foreground-muted": "ansi_default",
            "guide-line": "ansi_bright_black" if dark else "ansi_white",
            "cursor-line": "ansi_default",
            "cursor-line-blurred": "ansi_default",
            "scrollbar": "ansi_white" if dark else "ansi_bright_black",
            "scrollbar-background": "ansi_default",
            "border": "ansi_default",
            "border-blurred": "ansi_default",
            "footer-background": "ansi_default",
        },
    )


DARK_16: Final = _sixteen("sagatrace-16-dark", "ansi_yellow", dark=True)
LIGHT_16: Final = _sixteen("sagatrace-16-light", "ansi_magenta", dark=False)

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
    "strong": "$foreground",
    "cause": "$error",
    "found": "$warning",
}
BOLD: Final = frozenset({"strong", "cause", "found"})

STATUS_TONES: Final[Mapping[str, str]] = {
    "success": "ok",
    "failed": "bad",
    "running": "busy",
    "queued": "muted",
    "stopped": "warn",
    "canceled": "warn",
    "interrupted": "bad",
    "point": "muted",
    "unknown": "warn",
}
VERDICT_TONES: Final[Mapping[str, str]] = {
    "succeeded": "ok",
    "running": "busy",
    "compensating": "warn",
    "failed": "bad",
    "rolled_back": "warn",
    "rollback_incomplete": "cause",
    "rollback_missing": "cause",
    "succeeded_but_compensated": "cause",
    "unknown": "warn",
}


@runtime_checkable
class ShowsTimes(Protocol):
    """A widget that shows moments."""

    def times_changed(self) -> None:
        """Draw again with the new form of times."""
        ...


class ThemedApp(App[None]):
    """An app with the themes that the widgets need. It adds missing variables to other themes.

    `terminal` decides the colours and the driver. Without it the app has all colours. The theme comes from the
    environment, or else from `choice`, or else fits the terminal's background.
    """

    times: reactive[Times] = reactive(Times(), init=False)
    """The way to write moments, on every screen."""

    def __init__(self, terminal: Terminal | None = None, choice: ThemeChoice | None = None) -> None:
        self.terminal_driver: TerminalDriver | None = None
        self._few = terminal is not None and terminal.colors <= 16
        ansi = self._few or None
        super().__init__(driver_class=None if terminal is None or constants.DRIVER else TerminalDriver, ansi_color=ansi)
        self.terminal = terminal
        self.has_crashed = False
        # An animated scroll would send a dozen frames over SSH.
        self.animation_level = "none"
        indexed = terminal is not None and terminal.colors == 256
        for theme in (*((DARK_256, LIGHT_256) if indexed else (DARK, LIGHT)), DARK_16, LIGHT_16):
            self.register_theme(theme)
        self._choice = choice
        asked = terminal.theme if terminal is not None else ""
        remembered = choice.name if choice is not None and not asked else ""
        if asked and not self._named(asked):
            names = ", ".join(sorted({"dark", "light", *self.available_themes}))
            raise SettingsError(f"SAGATRACE_THEME={asked!r} is not a theme: {names}")
        found = self._named(asked) or self._named(remembered)
        self._follows_background = not found
        self._given = found or self._suitable(light=terminal is not None and terminal.light)
        self.theme = self._given

    def _suitable(self, *, light: bool) -> str:
        return ((LIGHT_16 if light else DARK_16) if self._few else (LIGHT if light else DARK)).name

    def _named(self, name: str) -> str:
        """Return the theme for a name that this terminal can show; \"\" for an unknown name."""
        if name in ("dark", DARK.name, DARK_16.name):
            return self._suitable(light=False)
        if name in ("light", LIGHT.name, LIGHT_16.name):
            return self._suitable(light=True)
        return name if name in self.available_themes else ""

    def on_terminal_driver_background(self, message: TerminalDriver.Background) -> None:
        """Use the theme that fits the terminal's background, unless the user chose another."""
        if self._follows_background and self.theme == self._given:
            self._given = self._suitable(light=message.light)
            self.theme = self._given

    def watch_theme(self, theme: str) -> None:
        """Save the theme that the user chose."""
        if theme == self._given:
            return
        self._given, self._follows_background = theme, False
        if self._choice is not None:
            self.run_worker(partial(self._choice.keep, theme), thread=True, exclusive=True, group="theme")

    def watch_times(self) -> None:
        """Draw all times again. No widget watches this itself: Textual would keep it after its screen closes."""
        for widget in (widget for screen in self.screen_stack for widget in screen.walk_children()):
            if isinstance(widget, ShowsTimes):
                widget.times_changed()

    def panic(self, *renderables: RenderableType) -> None:
        """Remember the crash: Textual's own exit status may be 0."""
        self.has_crashed = True
        super().panic(*renderables)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return the variables that other themes lack."""
        return dict(_FOREIGN)


def times_of(widget: Widget) -> Times:
    """Return the form of times of a widget's app."""
    app: App[Any] = widget.app
    return app.times if isinstance(app, ThemedApp) else Times()
