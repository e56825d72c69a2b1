"""A trace beside the last good run of the same saga."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from sagatrace.stores import EventStore
from sagatrace_tui.labels import inert, plural
from sagatrace_tui.live.compared import Compared, ComparisonReading
from sagatrace_tui.model import Trace
from sagatrace_tui.screens.clipboard import copy_text
from sagatrace_tui.screens.closing import ClosingScreen
from sagatrace_tui.widgets.bar import StateLine
from sagatrace_tui.widgets.comparison_header import ComparisonHeader
from sagatrace_tui.widgets.comparison_rows import ComparisonRows
from sagatrace_tui.widgets.key_hints import KeyHints
from sagatrace_tui.widgets.notice import Notice
from sagatrace_tui.widgets.rows import Rows

__all__ = ["CompareScreen"]

GOOD_RUN = "good run"


class CompareScreen(ClosingScreen[str]):
    """Shows how two traces differ. Its result is the id of the span to go to, or None.

    `trace` is the trace, if the caller has read it already. `r` reads both traces again.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("Y", "copy_summary", "Copy summary", tooltip="Copy incident summary of this trace"),
        Binding("r", "reload", "Refresh", tooltip="Read and compare both traces again"),
        Binding("question_mark,f1", "app.help", "Help", tooltip="These keys"),
        Binding("escape,q", "leave", "Back", tooltip="Back; cancels a reading in progress"),
    ]
    AUTO_FOCUS = "ComparisonRows"
    DEFAULT_CSS = """
    CompareScreen { layout: vertical; }
    CompareScreen ComparisonRows { height: 1fr; }
    """

    class Read(Message):
        """The comparison is ready, or has failed."""

        def __init__(self, compared: Compared) -> None:
            super().__init__()
            self.compared = compared

    def __init__(self, store: EventStore, trace_id: str, clock: Callable[[], int], trace: Trace | None = None) -> None:
        super().__init__()
        self._store, self._trace_id, self._clock, self._trace = store, trace_id, clock, trace
        self._reading: ComparisonReading | None = None
        self._began = time.monotonic()

    @property
    def help_sections(self) -> Sequence[tuple[str, Sequence[BindingType]]]:
        """The keys of this screen."""
        return [("Screen", self.BINDINGS), ("Differences", [*ComparisonRows.BINDINGS, *Rows.BINDINGS])]

    def compose(self) -> ComposeResult:
        """Lay out the header, the differences, the state line and the key hints."""
        yield ComparisonHeader(self._trace_id)
        yield Notice()
        yield ComparisonRows()
        state = StateLine()
        state.address = inert(self._store.label, 300)
        yield state
        yield KeyHints(ComparisonRows.BINDINGS, self.BINDINGS)

    def on_mount(self) -> None:
        """Start reading both traces."""
        self.query_one(ComparisonHeader).other_title = GOOD_RUN
        self.query_one(ComparisonRows).other_title = GOOD_RUN.upper()
        self._patience = self.set_interval(0.5, self._say_patience)
        self.set_interval(1.0, self._age)
        self._read(self._trace)

    def on_unmount(self) -> None:
        """Cancel the reading."""
        if self._reading is not None:
            self._reading.give_up()

    def _read(self, trace: Trace | None) -> None:
        if self._reading is not None:
            self._reading.give_up()
        self._began = time.monotonic()
        self._reading = ComparisonReading(self._store, trace or self._trace_id, self._clock, self._publish)
        self._reading.start()
        self._patience.resume()
        self.query_one(StateLine).facts = ("reading",)
        self._say_patience()

    def _publish(self, compared: Compared) -> None:
        self.post_message(self.Read(compared))

    def _say_patience(self) -> None:
        doing = self._reading.doing if self._reading is not None else "reading"
        waited = time.monotonic() - self._began
        self.query_one(ComparisonHeader).waiting = f"{inert(doing, 200)}, {waited:.0f} s · Esc cancels"

    def _age(self) -> None:
        header = self.query_one(ComparisonHeader)
        if header.comparison is not None:
            header.now = self._clock()

    @on(Read)
    def show_result(self, message: Read) -> None:
        """Show the differences, or the reason why there are none to show."""
        compared = message.compared
        self._trace = compared.trace or self._trace
        self._patience.pause()
        header, rows, state = (
            self.query_one(ComparisonHeader),
            self.query_one(ComparisonRows),
            self.query_one(StateLine),
        )
        header.now, header.waiting = self._clock(), ""
        header.comparison = rows.comparison = comparison = compared.comparison
        rows.visible = comparison is not None
        state.fault = bool(compared.fault)
        if comparison is not None:
            self.set_focus(rows)
            steps = f"{plural(comparison.in_both, 'step')} in both"
            state.facts = (plural(len(comparison.differences), "difference"), steps)
        else:
            state.facts = ("store unreachable" if compared.fault else "nothing to compare with",)
        self.query_one(Notice).message = _notice(compared)

    @on(ComparisonRows.Chosen)
    def go_to_span(self, message: ComparisonRows.Chosen) -> None:
        """Go to the step in the trace. If the step is missing, go to its nearest ancestor."""
        if message.difference.near is None:
            self.query_one(StateLine).say("Neither this step nor one above it is in this trace", "warn")
            return
        self.dismiss(message.difference.near)

    def action_copy_summary(self) -> None:
        """Copy the incident summary of this trace."""
        from sagatrace_tui.incident.summary import incident_summary  # slow to import

        if self._trace is not None:
            text = incident_summary(self._trace, inert)
            said = copy_text(self.app, text, "the summary", "S in the trace saves it")
            self.query_one(StateLine).say(*said)

    def action_reload(self) -> None:
        """Read both traces again."""
        self._read(None)

    def action_leave(self) -> None:
        """Go back to the screen below."""
        self.dismiss()


def _notice(compared: Compared) -> tuple[str, str, bool] | None:
    if compared.fault:
        return "The store could not be read", f"{compared.fault}\nPress r to try again.", True
    if compared.none_found:
        found = compared.none_found
        how = "`sagatrace diff TRACE OTHER` compares with a trace of your choice. Esc goes back."
        return "No good run found", f"{found[0].upper()}{found[1:]}.\n{how}", False
    return None
