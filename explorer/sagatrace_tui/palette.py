"""The command palette and its list. The app imports them when the palette opens, to keep the start fast."""

from __future__ import annotations

from contextlib import suppress

from textual import on
from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hits
from textual.system_commands import SystemCommandsProvider
from textual.theme import ThemeProvider
from textual.widgets import Input
from textual.worker import WorkerError

__all__ = ["CommandsInOrder", "Palette", "theme_palette"]


class CommandsInOrder(SystemCommandsProvider):
    """Lists the commands in the order of the app, the most useful first. Textual would sort them by name."""

    async def discover(self) -> Hits:
        """Yield every command, before anything is typed."""
        for name, help_text, run, is_listed in self.app.get_system_commands(self.screen):
            if is_listed:
                yield DiscoveryHit(name, run, help=help_text)


class Palette(CommandPalette):
    """Textual's palette. It closes once, and its list has a width in the smallest terminal: it fails without one."""

    DEFAULT_CSS = """
    Palette CommandList { min-width: 20; }
    """

    @on(Input.Submitted)
    async def finish_search(self) -> None:
        """Let Textual, whose handler follows, run a command that the whole text found, not its first letters."""
        for search in [worker for worker in self.workers if worker.node is self]:
            with suppress(WorkerError):
                await search.wait()

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Close it, unless it is closed: see `ClosingScreen`, which cannot be a base of Textual's own screen."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()


def theme_palette() -> Palette:
    """Return the palette of all themes."""
    return Palette(providers=[ThemeProvider], placeholder="Search for themes…")
