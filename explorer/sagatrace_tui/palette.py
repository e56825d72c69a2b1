"""The list of the command palette. The app imports it when the palette opens, to keep the start fast."""

from __future__ import annotations

from textual.command import DiscoveryHit, Hits
from textual.system_commands import SystemCommandsProvider

__all__ = ["CommandsInOrder"]


class CommandsInOrder(SystemCommandsProvider):
    """Lists the commands in the order of the app, the most useful first. Textual would sort them by name."""

    async def discover(self) -> Hits:
        """Yield every command, before anything is typed."""
        for name, help_text, run, is_listed in self.app.get_system_commands(self.screen):
            if is_listed:
                yield DiscoveryHit(name, run, help=help_text)
