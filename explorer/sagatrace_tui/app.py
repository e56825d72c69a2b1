"""The app: puts screens on the terminal and knows the keys that hold everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from sagatrace.stores import EventStore
from sagatrace_tui.labels import inert
from sagatrace_tui.live import wall_clock
from sagatrace_tui.screens.help import HelpScreen
from sagatrace_tui.screens.search import SearchScreen
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.theme import ThemedApp

__all__ = ["SagatraceApp"]


class SagatraceApp(ThemedApp):
    """Explores the traces of a store, and never writes to it.

    With `trace_id` that trace is open from the start, the list beneath it. `clock` gives microseconds since 1970.
    `trouble` says, at once, why what fills the store has stopped, if it has.
    """

    TITLE = "sagatrace"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "Quit at once", show=False, priority=True),
        Binding("ctrl+p", "command_palette", "Commands and themes", show=False, priority=True),
    ]
    CSS = """
    Screen { background: $background; color: $foreground; }
    """

    def __init__(
        self,
        store: EventStore,
        *,
        trace_id: str | None = None,
        subtitle: str = "",
        clock: Callable[[], int] = wall_clock,
        trouble: Callable[[], str | None] | None = None,
    ) -> None:
        super().__init__()
        self._trouble = trouble
        self._store = store
        self._trace_id = trace_id
        self._subtitle = subtitle
        self._clock = clock

    def get_default_screen(self) -> Screen[None]:
        """The list is at the bottom of the stack."""
        return SearchScreen(self._store, self._clock, self._subtitle)

    def on_mount(self) -> None:
        """Open the trace asked for."""
        if self._trace_id is not None:
            self.push_screen(TraceScreen(self._store, self._trace_id, self._clock))
        self._watch = self.set_interval(1.0, self._tell_trouble, pause=self._trouble is None)

    def _tell_trouble(self) -> None:
        """Say once that nothing new will come."""
        if self._trouble is not None and (why := self._trouble()):
            self._watch.stop()
            self.notify(inert(why, 500), title="Nothing new will come", severity="error", timeout=86_400, markup=False)

    def action_help(self) -> None:
        """Show the keys of the screen on top."""
        if isinstance(self.screen, (SearchScreen, TraceScreen)):
            self.push_screen(HelpScreen([*self.screen.help_sections, ("Everywhere", self.BINDINGS)]))
