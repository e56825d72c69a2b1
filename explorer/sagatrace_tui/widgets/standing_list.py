"""The list of steps in the window that still stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
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
from sagatrace_tui.widgets.trace_columns import room_for

__all__ = ["StandingList"]

_KEY: Final = 12  # terminal columns of a business key
_WHOLE: Final = 200  # terminal columns for every column


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
    _widest: Mapping[str, int] = MappingProxyType({})
    """The terminal columns of the widest value in a column, by the column's title."""

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
        columns = self._columns(width - since)
        return [
            (f"{'SINCE':>{since}}  ", "muted"),
            *((_cell(one.title, one), "muted") for one in columns),
            ("REASON", "muted"),
        ]

    def row(self, index: int, width: int) -> list[Part]:
        """Return the row of one step."""
        step = self.steps[index]
        times = times_of(self)
        columns = self._columns(width - times.width(self.now))
        cells = [(_cell(inert(one.value(step)) or "—", one), one.tone) for one in columns]
        unsure = "" if step.certain else "uncertain: "
        since = f"{times.brief(step.since, self.now):>{times.width(self.now)}}  "
        reason = inert(step.reason).removeprefix("compensation ")  # the column before names the undo
        error = f" · {inert(step.error)}" if step.error else ""
        return fitted([(since, "plain"), *cells, (f"{unsure}{reason}", "warn"), (error, "muted")], width)

    def watch_steps(self, old: tuple[StandingStep, ...], new: tuple[StandingStep, ...]) -> None:
        """Keep the cursor on the same step, or on the oldest until the reader moves it or opens a step."""
        here = (old[self.cursor].trace_id, old[self.cursor].span_id) if old and self.is_held else None
        kinds = {(step.step, step.compensation, step.saga): step for step in new}.values()  # few, even of 10 000 steps
        columns = _columns(_WHOLE, ())
        widest = {one.title: max((room_for(inert(one.value(step))) for step in kinds), default=0) for one in columns}
        self._widest = {**widest, "TRACE": max((room_for(step.trace_id) for step in new), default=0)}
        self.rows_replaced(((step.trace_id, step.span_id) for step in new), here)

    def watch_now(self) -> None:
        """Update the times."""
        self.redraw()

    def action_open(self) -> None:
        """Open the trace of the step under the cursor."""
        if self.highlighted is not None:
            self.hold()
            self.post_message(self.Opened(self, self.highlighted))

    def _columns(self, width: int) -> list[_Column]:
        return _columns(width, self.keys, self._widest)


def _columns(width: int, keys: tuple[str, ...], widest: Mapping[str, int] = MappingProxyType({})) -> list[_Column]:
    """Return the columns that fit. Values that are shorter than a column leave the rest of it to the reason."""
    wide, narrow = width >= 132, width < 92

    def room_of(title: str, most: int) -> int:
        return min(most, max(len(title), widest.get(title, most)))

    name = room_of("STEP", 24 if wide else 15 if narrow else 18)
    found = [_Column("STEP", name, "strong", lambda step: short_name(step.step, name))]
    if width >= 68:
        found.append(_Column("UNDO", room_of("UNDO", 22 if wide else 16), "plain", lambda step: step.compensation))
    if wide:
        found.append(_Column("SAGA", room_of("SAGA", 18), "plain", lambda step: saga_name(step.saga)))
    trace = room_of("TRACE", 28 if wide else 10 if narrow else 16)
    found.append(_Column("TRACE", trace, "id", lambda step: step.trace_id))
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
