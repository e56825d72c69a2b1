"""The list of steps in the window that still stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

import msgspec
from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from sagatrace_tui.incident.trace_row import StandingStep
from sagatrace_tui.labels import inert, saga_name, short_middle, short_name
from sagatrace_tui.theme import times_of
from sagatrace_tui.widgets.held_rows import HeldRows
from sagatrace_tui.widgets.rows import Part, fitted

__all__ = ["StandingList"]

_KEY: Final = 12  # terminal columns of a business key


class _Column(msgspec.Struct, frozen=True):
    title: str
    width: int
    tone: str
    value: Callable[[StandingStep], str]


class StandingList(HeldRows):
    """Shows steps, the oldest first, and posts the opened step. `keys` are the names of the business keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Open", tooltip="Open the trace at this step")]

    HEADER_LINES = 1

    steps: reactive[tuple[StandingStep, ...]] = reactive((), repaint=False, init=False)
    now: reactive[int] = reactive(0, repaint=False, init=False)
    keys: tuple[str, ...] = ()

    class Opened(Message):
        """A step was chosen."""

        def __init__(self, standing_list: StandingList, step: StandingStep) -> None:
            super().__init__()
            self.standing_list = standing_list
            self.step = step

        @property
        def control(self) -> StandingList:
            """The list that posted the message."""
            return self.standing_list

    @property
    def row_count(self) -> int:
        """The number of standing steps."""
        return len(self.steps)

    @property
    def highlighted(self) -> StandingStep | None:
        """The step under the cursor."""
        return self.steps[self.cursor] if self.steps else None

    def header(self, width: int) -> list[Part]:
        """Return the titles of the columns."""
        since = times_of(self).width(self.now)
        columns = _columns(width - since, self.keys)
        return [
            (f"{'SINCE':>{since}}  ", "muted"),
            *((_cell(one.title, one), "muted") for one in columns),
            ("REASON", "muted"),
        ]

    def row(self, index: int, width: int) -> list[Part]:
        """Return the row of one step."""
        step = self.steps[index]
        times = times_of(self)
        columns = _columns(width - times.width(self.now), self.keys)
        cells = [(_cell(inert(one.value(step)) or "—", one), one.tone) for one in columns]
        unsure = "" if step.certain else "uncertain: "
        since = f"{times.brief(step.since, self.now):>{times.width(self.now)}}  "
        reason = inert(step.reason).removeprefix("compensation ")  # the column before names the undo
        error = f" · {inert(step.error)}" if step.error else ""
        return fitted([(since, "plain"), *cells, (f"{unsure}{reason}", "warn"), (error, "muted")], width)

    def watch_steps(self, old: tuple[StandingStep, ...], new: tuple[StandingStep, ...]) -> None:
        """Keep the cursor on the same step, or on the oldest until the reader moves it or opens a step."""
        here = (old[self.cursor].trace_id, old[self.cursor].span_id) if old and self.is_held else None
        self.rows_replaced(((step.trace_id, step.span_id) for step in new), here)

    def watch_now(self) -> None:
        """Update the times."""
        self.redraw()

    def action_open(self) -> None:
        """Open the trace of the step under the cursor."""
        if self.highlighted is not None:
            self.hold()
            self.post_message(self.Opened(self, self.highlighted))


def _columns(width: int, keys: tuple[str, ...]) -> list[_Column]:
    wide, narrow = width >= 132, width < 92
    name = 24 if wide else 15 if narrow else 18
    found = [_Column("STEP", name, "strong", lambda step: short_name(step.step, name))]
    if width >= 68:
        found.append(_Column("UNDO", 22 if wide else 16, "plain", lambda step: step.compensation))
    if wide:
        found.append(_Column("SAGA", 18, "plain", lambda step: saga_name(step.saga)))
    found.append(_Column("TRACE", 28 if wide else 10 if narrow else 16, "id", lambda step: step.trace_id))
    room = width - 2 - sum(one.width + 2 for one in found)
    for place, key in enumerate(keys):
        room -= _KEY + 2
        if room < 20:
            break
        found.append(_Column(inert(key).upper(), _KEY, "plain", lambda step, place=place: step.values[place]))  # type: ignore[misc]
    return found


def _cell(text: str, column: _Column) -> str:
    cut = short_middle(text, column.width)
    return cut + " " * (column.width - cell_len(cut) + 2)
