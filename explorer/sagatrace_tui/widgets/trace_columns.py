"""The columns of the trace list: their widths, and the text of a trace in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal

import msgspec
from rich.cells import cell_len

from sagatrace_tui.incident.trace_row import TraceRow, standing_texts
from sagatrace_tui.labels import duration, inert, saga_name, short, short_middle, verdict_words
from sagatrace_tui.model import Verdict
from sagatrace_tui.theme import VERDICT_TONES
from sagatrace_tui.times import Times
from sagatrace_tui.widgets.rows import Part

__all__ = ["GAP", "NARROWEST", "Column", "Widest", "cell", "columns", "part_of", "room_for", "widest_of"]

_TIMES: Final = Times()
GAP: Final = 2
NARROWEST: Final = 12
"""The fewest terminal columns for a verdict."""
_WHOLE: Final = 10_000  # terminal columns for every reason
_SEP: Final = " · "
_LEAST: Final = 8  # the fewest useful terminal columns of an error
_SHORTEST: Final = 8  # terminal columns of a column of short names or ids
_BOTH: Final = 40  # from this many terminal columns a cut error shares them with the step


class Column(msgspec.Struct, frozen=True):
    """One column. `width` is in terminal columns. `part` returns the text of a trace at a moment.

    `sort` is the sort order that a click on its title selects; empty for none.
    """

    title: str
    width: int
    align: Literal["<", ">"]
    part: Callable[[TraceRow, int], Part]
    sort: str = ""


class Widest(msgspec.Struct, frozen=True):
    """The terminal columns of the widest listed verdict, name and trace id. Names and ids may be cut."""

    verdict: int = NARROWEST
    name: int = 24
    trace: int = 36


def widest_of(rows: Sequence[TraceRow]) -> Widest:
    """Return the columns that these rows need, at most."""
    verdicts: set[Verdict] = {row.verdict for row in rows if row.verdict is not None}
    names = {row.name.removeprefix("workflow:").removeprefix("saga:") for row in rows}
    return Widest(
        max([NARROWEST, *(cell_len(verdict_words(verdict)) for verdict in verdicts)]),
        max([_SHORTEST, *map(room_for, names)]),
        max([_SHORTEST, *(room_for(row.trace_id) for row in rows)]),
    )


def room_for(text: str) -> int:
    """Return at least the terminal columns of a text. To count them exactly is slow for many texts."""
    return len(text) if text.isascii() else 2 * len(text)


_ANY: Final = Widest()


def columns(width: int, widest: Widest = _ANY, sort: str = "last", times: Times = _TIMES, now: int = 0) -> list[Column]:
    """Return the columns that fit. The last column takes the rest.

    Args:
        width: terminal columns of a row.
        widest: what the listed rows need. A verdict is never cut if `width` is at least 80.
        sort: the order of the list. A list by start shows it in place of the last activity.
        times: the way to write moments.
        now: microseconds since 1970.
    """
    verdict = widest.verdict
    if width < 80:
        verdict = min(verdict, max(NARROWEST + 1, width * 2 // 5))
    is_wide, is_whole = width >= 100, width >= 140
    last = Column("LAST", times.width(now), ">", partial(_last, times), "last")
    started = Column("STARTED", max(9, times.width(now)), ">", partial(_started, times), "started")
    found = [Column("VERDICT", verdict, "<", _verdict)]
    if is_wide:
        found.append(Column("NAME", min(24 if is_whole else 15, widest.name), "<", _name))
    if width >= 60:
        most = 36 if width >= 180 else 28 if is_whole else 15
        found.append(Column("TRACE", min(most, widest.trace), "<", _id))
    found.append(started if sort == "started" else last)
    if is_wide or sort == "took":
        found.append(Column("TOOK", 7, ">", _duration, "took"))
    if is_whole:
        found.append(Column("SPANS", 6, ">", _spans))
    if is_wide or sort == "failures":
        found.append(Column("ERRORS", 8 if sort == "failures" else 6, ">", _errors, "failures"))
    left = width - sum(column.width + GAP for column in found)
    rest = (
        Column("WHY", max(left, 4), "<", _why) if is_wide else Column("WHY, OR NAME", max(left, 4), "<", _why_or_name)
    )
    return [*found, rest]


def cell(text: str, column: Column) -> str:
    """Return a text padded to the width of a column, with the gap after it."""
    room = max(0, column.width - cell_len(text))
    padded = " " * room + text if column.align == ">" else text + " " * room
    return padded + " " * GAP


def _verdict(row: TraceRow, _now: int) -> Part:
    if row.verdict is None:
        return "… reading", "muted"
    return verdict_words(row.verdict), VERDICT_TONES[row.verdict]


def _name(row: TraceRow, _now: int) -> Part:
    return saga_name(row.name), "plain"


def _id(row: TraceRow, _now: int) -> Part:
    return inert(row.trace_id), "id"


def _started(times: Times, row: TraceRow, now: int) -> Part:
    return ("" if row.verdict is None else times.brief(row.started_at, now)), "plain"


def _last(times: Times, row: TraceRow, now: int) -> Part:
    return times.brief(row.latest, now), "plain"


def _duration(row: TraceRow, now: int) -> Part:
    return ("" if row.verdict is None else duration(row.elapsed(now))), "plain"


def _spans(row: TraceRow, _now: int) -> Part:
    return (f"{row.span_count:,}" if row.verdict else ""), "muted"


def _why(row: TraceRow, _now: int) -> Part:
    return _why_within(row, _WHOLE), "bad" if row.failure is not None else "warn"


def part_of(row: TraceRow, column: Column, now: int) -> Part:
    """Return the text of a trace in a column at `now`, cut and padded to the column's width."""
    text, tone = column.part(row, now)
    if column.part is _id:
        text = short_middle(text, column.width)
    elif column.part in (_why, _why_or_name):
        text = _why_within(row, column.width) or text
    return cell(short(text, column.width), column), tone


def _why_within(row: TraceRow, width: int) -> str:
    """Return the reason in `width` columns: the error, the step if there is room for both, and the standing steps."""
    texts = standing_texts(row)
    if row.failure is None:
        return next((one for one in texts if cell_len(one) <= width), texts[-1]) if texts else ""
    after = next((f"{_SEP}{one}" for one in texts if width - cell_len(f"{_SEP}{one}") >= _LEAST), "")
    room = width - cell_len(after)
    error, step = inert(row.failure.text), inert(row.failure.step)
    at = f"{', ' if error else 'failed '}at {step}"
    if cell_len(error) + cell_len(at) > room:
        at = f", at {short_middle(step, room // 3)}" if error and room >= _BOTH else "" if error else at
    return short(f"{short(error, room - cell_len(at))}{at}", room) + after


def _why_or_name(row: TraceRow, now: int) -> Part:
    why, tone = _why(row, now)
    return (why, tone) if why else (saga_name(row.name), "muted")


def _errors(row: TraceRow, _now: int) -> Part:
    if row.error_count:
        return f"{row.error_count:,}", "bad"
    return ("·" if row.verdict else ""), "muted"
