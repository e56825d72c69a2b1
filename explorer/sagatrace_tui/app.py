"""The app: its screens, and the keys that work on every screen."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import ClassVar, Final

from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.dom import DOMNode
from textual.screen import Screen

from sagatrace.mirror import Mirror
from sagatrace.shown import logger
from sagatrace.stores import EventStore
from sagatrace_tui.collector import resume_collector
from sagatrace_tui.labels import inert
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.query_history import QueryHistory
from sagatrace_tui.scope import Scope
from sagatrace_tui.screens.followed import FollowedScreen
from sagatrace_tui.terminal.detect import Terminal
from sagatrace_tui.terminal.signals import end_on_signals, is_resumable, stop_all
from sagatrace_tui.theme import ThemedApp
from sagatrace_tui.theme_choice import ThemeChoice
from sagatrace_tui.timers import call_once
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.key_hints import key_groups

__all__ = ["SagatraceApp"]


log: Final = logger("sagatrace")

_RESIZED: Final = 1 / 60
"""Seconds from a new size to the layout for it: a little more than Textual waits."""


def _commands() -> type[Provider]:
    from sagatrace_tui.palette import CommandsInOrder

    return CommandsInOrder


class SagatraceApp(ThemedApp):
    """Explores the traces of a store. It never writes to the store.

    With `trace_id` the app opens that trace first, at the span `span_id` if given. `clock` returns microseconds since
    1970. `mirror` publishes new events; without it the store is polled. `trouble` returns why the process that fills
    the store has stopped, or None. `scope` holds the settings of the lists. `theme_choice` saves the chosen theme.
    `is_demo` is whether the store is removed when the app ends: then q asks first.
    """

    TITLE = "sagatrace"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "times", "Times: relative, UTC or local", show=False),
        Binding("ctrl+c", "quit", "Quit immediately", show=False, priority=True),
        Binding("ctrl+z", "to_shell", "Suspend to the shell; fg resumes", show=False, priority=True),
        Binding("ctrl+p", "command_palette", "Commands and themes", show=False, priority=True),
        Binding("m", "mouse", "Mouse: select text in the terminal, or use the app", show=False),
        Binding("colon", "command_palette", "Commands and themes", show=False),
    ]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    CSS = """
    Screen { background: $background; color: $foreground; }
    """

    def __init__(
        self,
        store: EventStore,
        *,
        trace_id: str | None = None,
        clock: Callable[[], int] = wall_clock,
        trouble: Callable[[], str | None] | None = None,
        terminal: Terminal | None = None,
        history: QueryHistory | None = None,
        mirror: Mirror | None = None,
        scope: Scope | None = None,
        span_id: str | None = None,
        theme_choice: ThemeChoice | None = None,
        is_demo: bool = False,
    ) -> None:
        super().__init__(terminal, theme_choice)
        self._scope, self._span_id, self._is_demo = scope, span_id, is_demo
        self._holds_mouse = terminal is None or terminal.holds_mouse
        self._trouble = trouble
        self._store = store
        self._trace_id = trace_id
        self._clock = clock
        self._history = history
        self._mirror = mirror

    def get_default_screen(self) -> Screen[None]:
        """Return the screen of the given trace, or else the list."""
        if self._trace_id is None:
            return self._list()
        from sagatrace_tui.screens.trace import TraceScreen

        return TraceScreen(self._store, self._trace_id, self._clock, mirror=self._mirror, span_id=self._span_id)

    def _list(self) -> Screen[None]:
        from sagatrace_tui.screens.search import SearchScreen

        return SearchScreen(self._store, self._clock, self._history, self._mirror, self._scope, is_demo=self._is_demo)

    def on_load(self) -> None:
        """Prepare to restore the terminal and end on a signal, before the terminal changes."""
        if not self.is_headless:
            end_on_signals(self)

    def on_mount(self) -> None:
        """Start what works beside the first drawing."""
        if not self.is_headless:
            self.call_after_refresh(_collect_again)
        self._watch = self.set_interval(1.0, self._report_trouble, pause=self._trouble is None)

    def _handle_exception(self, error: Exception) -> None:
        """Let a failure end the app. After a signal it ends already: a screen that was opening finds no widgets."""
        if self.return_code:
            log.error("while the app ended: %r", error)
        else:
            super()._handle_exception(error)

    def on_resize(self) -> None:
        """Let Textual lay the screen out again, even if it has lost its own timer for that."""
        call_once(self, _RESIZED, self._check_resize)

    def _report_trouble(self) -> None:
        """Notify the reader once that the live source stopped."""
        if self._trouble is not None and (why := self._trouble()):
            self._watch.stop()
            self.notify(inert(why, 500), title="Live source stopped", severity="error", timeout=86_400, markup=False)

    async def action_leave(self) -> None:
        """Quit. If the store goes with the app, ask first."""
        if self._is_demo:
            from sagatrace_tui.screens.leaving import LeavingScreen

            self.push_screen(LeavingScreen())
        else:
            await self.action_quit()

    def action_mouse(self) -> None:
        """Release the mouse to the terminal for selecting text, or capture it again."""
        if self.terminal_driver is None:
            return
        self._holds_mouse = not self._holds_mouse
        self.terminal_driver.hold_mouse(self._holds_mouse)
        words = "The mouse works in the app again" if self._holds_mouse else "The mouse selects text (m ends this)"
        if self._holds_mouse and self.terminal is not None and self.terminal.delays_escape:
            words = "The mouse works in the app. In GNU screen, Esc waits for the next key"
        self._say(words)

    def action_times(self) -> None:
        """Switch the form of times on every screen."""
        self.times = self.times.following
        for screen in self.screen_stack:
            if isinstance(screen, FollowedScreen):
                screen.report_state()
        self._say(self.times.words(self._clock()))

    def _say(self, text: str, tone: str = "plain") -> None:
        """Show a note in the state line of the top screen that has one."""
        line = next((line for screen in reversed(self.screen_stack) for line in screen.query(StateLine)), None)
        if line is not None:
            line.say(text, tone)

    async def action_to_shell(self) -> None:
        """Suspend the app if a parent shell can resume it."""
        if await asyncio.to_thread(is_resumable):
            with self.suspend():
                stop_all()
            return
        self._say("Cannot suspend: no parent shell. Press q to quit.", "warn")

    def action_leave_trace(self) -> None:
        """Go back to the list. If the app opened with a trace, create the list now."""
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif isinstance(self.screen, FollowedScreen):
            self.screen.end_following()  # it stays below the list, but is never shown again
            self.push_screen(self._list())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield the commands of this screen and the themes. Commands with key hints come first."""
        hinted: list[SystemCommand] = []
        others = [SystemCommand("Theme", "Choose colours", self.action_change_theme)]
        around = screen.focused.ancestors_with_self if screen.focused is not None else [screen, self]
        for section, bindings in self._sections_of(screen):
            for keys, binding in key_groups(bindings):
                doer = next((node for node in around if _has_key(node, binding)), None)
                if doer is not None and binding.action != "command_palette":
                    run = partial(self.run_action, binding.action, doer)
                    name = binding.tooltip or binding.description
                    command = SystemCommand(name, f"{section}, key {', '.join(keys)}", run)
                    (hinted if binding.show else others).append(command)
        yield from hinted
        yield from others

    def action_command_palette(self) -> None:
        """Show the commands."""
        self._open_palette()

    def search_themes(self) -> None:
        """Show the themes."""
        self._open_palette(themes=True)

    def _open_palette(self, *, themes: bool = False) -> None:
        from sagatrace_tui.palette import Palette, theme_palette

        if not isinstance(self.screen, Palette):
            self.push_screen(theme_palette() if themes else Palette())

    def action_help(self) -> None:
        """Show the keys of the screen on top."""
        if sections := self._sections_of(self.screen):
            from sagatrace_tui.screens.help import HelpScreen

            self.push_screen(HelpScreen(sections))

    def _sections_of(self, screen: Screen[object]) -> list[tuple[str, Sequence[BindingType]]]:
        """Return the keys of a screen and of the app. A screen without help, such as the palette, has no keys."""
        sections = getattr(screen, "help_sections", ())
        return [*sections, ("Everywhere", self.BINDINGS)] if sections else []


def _has_key(node: DOMNode, binding: Binding) -> bool:
    """Return whether a node defines the binding. Other nodes can have an action with the same name."""
    lists = (kind.__dict__.get("BINDINGS", ()) for kind in type(node).__mro__)
    return any(binding in Binding.make_bindings(bindings) for bindings in lists)


def _collect_again() -> None:
    """Resume the garbage collector. It ignores all objects that exist now."""
    gc.freeze()
    resume_collector()
