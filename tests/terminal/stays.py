"""The app without keys that leave it. F12 puts the number of its calls in the title, F9 on the screen.

With `MAY_CRASH` in the environment, F10 and F11 crash it. Random bytes can be these keys.
"""

from __future__ import annotations

import os
import sys
from typing import ClassVar
from unittest.mock import patch

from rich.text import Text
from textual.binding import Binding, BindingType

from sagatrace_tui import app, cli
from sagatrace_tui.widgets.bar import StateLine


class Stays(app.SagatraceApp):
    """The app that only a signal or a crash ends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f12", "answer", priority=True),
        Binding("f9", "show", priority=True),
        *(
            [Binding("f11", "crash", priority=True), Binding("f10", "panic", priority=True)]
            if "MAY_CRASH" in os.environ
            else []
        ),
    ]
    answered = 0

    async def action_quit(self) -> None:
        """Stay."""

    async def action_to_shell(self) -> None:
        """Stay."""

    def action_leave_trace(self) -> None:
        """Stay."""

    def action_command_palette(self) -> None:
        """Stay: the palette names the command that quits."""

    def action_answer(self) -> None:
        """Set the terminal's title to the number of calls."""
        self.answered += 1
        if self.terminal_driver is not None:
            self.terminal_driver.write(f"\x1b]2;answer {self.answered}\x07")
            self.terminal_driver.flush()

    def action_show(self) -> None:
        """Say the same on the screen."""
        while len(self.screen_stack) > 1 and not self.screen.query(StateLine):
            self.pop_screen()
        self.screen.query_one(StateLine).say(f"answered {self.answered}", "warn")
        if self.terminal_driver is not None:
            self.terminal_driver.forget()  # the emulator did not see what came before
        self.screen.refresh(layout=True)

    def action_crash(self) -> None:
        """Fail like a handler."""
        raise ValueError("made to fail")

    def action_panic(self) -> None:
        """Fail like a thread of the driver."""
        self.panic(Text("made to fail"))


def main(url: str, trace_id: str | None = None) -> None:
    """Run the app on a store."""
    with patch.object(app, "SagatraceApp", Stays):
        sys.argv = ["sagatrace-tui", "--store", url, *([trace_id] if trace_id else [])]
        cli.tui_main()


if __name__ == "__main__":
    main(*sys.argv[1:])
