"""Replay a trace event by event. A worker thread builds each moment."""

from __future__ import annotations

import gc
from typing import Any, Final

from msgspec.structs import replace
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from sagatrace_tui.labels import VERDICTS, inert
from sagatrace_tui.live.replay import Frame, Replay
from sagatrace_tui.live.trace_feed import OpenTrace
from sagatrace_tui.model import Trace
from sagatrace_tui.screens.followed import behind
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.bar import StateLine

__all__ = ["ReplayScreen"]

_IN_REPLAY: Final = ("replay_to", "end_replay")


class ReplayScreen(Screen[Any]):
    """A trace screen that can show the moment of any past event while its feed keeps reading."""

    replay: Replay | None = None
    """The position of the replay; None while the live trace is shown."""
    paused: bool
    _reading: OpenTrace | None = None
    _newest: OpenTrace | None = None
    _live: OpenTrace | None = None  # the reading shown before the replay
    _frame: Frame | None = None
    _is_building = False
    _is_frozen = False

    class Built(Message):
        """A moment of the replay was built."""

        def __init__(self, replay: Replay, frame: Frame) -> None:
            super().__init__()
            self.replay = replay
            self.frame = frame

    def searched(self) -> Trace | None:
        """Return the trace shown; None before one is read."""
        raise NotImplementedError

    def show(self, reading: OpenTrace, frame: Frame | None = None) -> None:
        """Show a reading, or a moment of the replay."""
        raise NotImplementedError

    @property
    def live_trace(self) -> Trace | None:
        """The trace shown; during a replay, the trace shown before the replay."""
        reading = self._live or self._reading
        return reading.trace if reading is not None else None

    def report_state(self) -> None:
        """Show on the state line how up to date the screen is."""
        raise NotImplementedError

    def say(self, text: str, tone: str = "plain") -> None:
        """Show a note, such as why a key did nothing."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the replay's Home, End and Esc outside a replay and in input lines, where they mean other things."""
        if action in _IN_REPLAY and (self.replay is None or isinstance(self.focused, Input)):
            return False
        return super().check_action(action, parameters)

    def action_replay(self, step: int) -> None:
        """Go one event back or forward. The first step back starts the replay."""
        trace = self.searched()
        if self.replay is None and trace is not None and trace.event_count and step < 0:
            self.replay = Replay(trace)
            if not self._is_frozen:  # until the screen closes: moments make work for the collector, which stops it
                self._is_frozen = True  # once: freezing also keeps garbage
                gc.freeze()
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
        self.report_state()

    def action_end_replay(self) -> None:
        """End the replay and show the newest reading; while paused, the reading from before the replay."""
        shown = self._live if self.paused else self._newest
        if self._live is not None and shown is not None:
            self.show(shown)
        self.replay = self._frame = self._live = None
        self.report_state()

    def end_replay_before(self, span_id: str) -> None:
        """End a replay at a moment at which the span had no event yet."""
        shown, live = self._reading.trace if self._reading is not None else None, self.live_trace
        if shown is not None and live is not None and span_id not in shown.spans and span_id in live.spans:
            self.action_end_replay()
            self.say("The replay has ended: its moment was before this span")

    def _build(self) -> None:
        """Build the moment at the current place, one at a time. A held key skips the moments in between."""
        replay = self.replay
        if replay is None or self._is_building:
            return
        self._is_building = True
        place = replay.place
        self.run_worker(lambda: self.post_message(self.Built(replay, replay.frame(place))), thread=True, group="replay")

    def on_replay_screen_built(self, message: Built) -> None:
        """Show the moment if its replay is still active. Build the next if the place has changed."""
        self._is_building = False
        if message.replay is self.replay:
            self._show_frame(message.frame)
            self.report_state()
        if self.replay is not None and (self._frame is None or self._frame.place != self.replay.place):
            self._build()

    def _show_frame(self, frame: Frame) -> None:
        self._frame, self._live = frame, self._live or self._reading
        if self._live is not None:
            moment = replace(self._live, trace=frame.trace, outline=frame.outline, now=frame.trace.now, fault=None)
            self.show(moment, frame)

    def report_replay(self, replay: Replay) -> None:
        """Show the place in the replay, and the number of events since the replay began."""
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
