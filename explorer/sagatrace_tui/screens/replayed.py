"""Replaying a trace event by event; each moment is built in a thread of its own."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any, Final

from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from sagatrace_tui.labels import VERDICTS, inert
from sagatrace_tui.live import Frame, OpenTrace, Replay
from sagatrace_tui.model import Trace
from sagatrace_tui.screens.followed import behind
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.bar import StateLine

__all__ = ["ReplayScreen"]

_IN_REPLAY: Final = ("replay_to", "end_replay")


class ReplayScreen(Screen[Any]):
    """A screen of a trace that can go back to the moment of any of its events, while its feed reads on."""

    replay: Replay | None = None
    """The position of the replay; None while the live trace is shown."""
    paused: bool
    _reading: OpenTrace | None = None
    _newest: OpenTrace | None = None
    _live: OpenTrace | None = None  # what was shown before the replay
    _frame: Frame | None = None
    _is_building = False

    class Built(Message):
        """A moment of the replay was built."""

        def __init__(self, replay: Replay, frame: Frame) -> None:
            super().__init__()
            self.replay = replay
            self.frame = frame

    def searched(self) -> Trace | None:
        """The trace shown; None while there is none."""
        raise NotImplementedError

    def show(self, reading: OpenTrace, frame: Frame | None = None) -> None:
        """Show a reading, or a moment of the replay."""
        raise NotImplementedError

    @property
    def live_trace(self) -> Trace | None:
        """The trace shown; during a replay the one that was shown before."""
        reading = self._live or self._reading
        return reading.trace if reading is not None else None

    def tell_state(self) -> None:
        """Say how true the screen is."""
        raise NotImplementedError

    def say(self, text: str, tone: str = "plain") -> None:
        """Say why a key did nothing."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Home, End and Esc have other meanings outside of a replay, and in a line that is typed into."""
        if action in _IN_REPLAY and (self.replay is None or isinstance(self.focused, Input)):
            return False
        return super().check_action(action, parameters)

    def action_replay(self, step: int) -> None:
        """Go one event back or forward; the first step back begins the replay."""
        trace = self.searched()
        if self.replay is None and trace is not None and trace.event_count and step < 0:
            self.replay = Replay(trace)
            gc.freeze()  # until the screen closes: each moment makes work for the collector, which stops the screen
        if trace is None:
            self.say("No event has been read yet")
        elif self.replay is None:
            self.say("This is the newest event ([ goes back one event)")
        elif self.replay.place + step > self.replay.count:
            self.say("This is the newest event (Esc leaves the replay)")
        else:
            self._go_to_event(self.replay, self.replay.place + step)

    def action_replay_to(self, end: str) -> None:
        """Go to the `first` or to the `newest` event."""
        if self.replay is not None:
            self._go_to_event(self.replay, 1 if end == "first" else self.replay.count)

    def _go_to_event(self, replay: Replay, place: int) -> None:
        if replay.go_to(place):
            self.query_one(StateLine).hush()
            self._build()
        elif place < 1:
            self.say("This is the first event")
        self.tell_state()

    def action_end_replay(self) -> None:
        """Show the newest reading again; if live updates are paused, the one before the replay."""
        shown = self._live if self.paused else self._newest
        if self._live is not None and shown is not None:
            self.show(shown)
        self.replay = self._frame = self._live = None
        self.tell_state()

    def _build(self) -> None:
        """Build the moment that is wanted, one at a time: of those passed while a key is held, the last."""
        replay = self.replay
        if replay is None or self._is_building:
            return
        self._is_building = True
        place = replay.place
        self.run_worker(lambda: self.post_message(self.Built(replay, replay.frame(place))), thread=True, group="replay")

    def on_replay_screen_built(self, message: Built) -> None:
        """Show it, unless the replay has ended or gone on."""
        self._is_building = False
        if message.replay is self.replay:
            self._show_frame(message.frame)
            self.tell_state()
        if self.replay is not None and (self._frame is None or self._frame.place != self.replay.place):
            self._build()

    def _show_frame(self, frame: Frame) -> None:
        self._frame, self._live = frame, self._live or self._reading
        if self._live is not None:
            moment = replace(self._live, trace=frame.trace, outline=frame.outline, now=frame.trace.now, fault=None)
            self.show(moment, frame)

    def tell_replay(self, replay: Replay) -> None:
        """Say which event is shown, and how many have come since the replay began."""
        state = self.query_one(StateLine)
        come = behind(self._newest.known - replay.count, "event") if self._newest is not None else ""
        state.mode, state.behind = "replay", True
        state.facts = tuple(filter(None, (*self._facts(replay), come)))

    def _facts(self, replay: Replay) -> tuple[str, ...]:
        frame = self._frame
        which = f"event {replay.place:,} of {replay.count:,}"
        if frame is None or frame.place != replay.place:
            return (f"replay: reading {which}",)
        at = times_of(self).moment_from(frame.event.micros, frame.trace.started_at or frame.event.micros)
        facts = [f"replay: {which}, at {at} (Esc leaves)", inert(frame.event.event_type, 80)]
        if frame.before != frame.trace.verdict and frame.place > 1:
            facts.append(f"{VERDICTS[frame.before][1]} → {VERDICTS[frame.trace.verdict][1]}")
        return tuple(facts)
