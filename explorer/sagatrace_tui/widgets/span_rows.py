"""The rows of the span tree: guides, glyph, name, words, pinned values, bar and figures. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from os.path import commonprefix
from typing import Any, Final

import msgspec
from rich.cells import cell_len

from sagatrace_tui.labels import (
    GLYPHS,
    VERDICTS,
    duration,
    inert,
    run_words,
    short,
    short_middle,
    short_name,
    standing_tone,
)
from sagatrace_tui.model import Role, Span, Trace
from sagatrace_tui.theme import STATUS_TONES
from sagatrace_tui.values import Path, as_text
from sagatrace_tui.views.landmarks import ERRORS
from sagatrace_tui.views.outline import Group, Outline
from sagatrace_tui.views.timeline import Timeline
from sagatrace_tui.widgets.bars import group_bar, span_bar
from sagatrace_tui.widgets.guides import guides
from sagatrace_tui.widgets.rows import Part, fitted

__all__ = ["PIN", "ROLE_GLYPHS", "RowState", "SpanRows", "Zones", "value_at", "zones"]

PIN: Final = 15
"""Columns of a pinned value, with the blank after it."""
_LABEL: Final = 26  # columns kept for the tree before pinned values get any
_HALF: Final = 155  # columns a row needs to give half of them to the waterfall
_IDENTITY: Final = 11
_WHOLE_IDENTITY: Final = 36  # columns of a UUID
_LEAST_ALIKE: Final = 4  # ids that begin with as many equal characters need the columns for the rest
_WIDE: Final = 100  # a row this wide has room for a whole id beside the error
_ROOM: Final = 10_000  # enough terminal columns for every word
_ROLES: Final[dict[Role, tuple[str, str]]] = {
    "cause": ("CAUSE", "cause"),
    "consequence": ("consequence", "muted"),
    "independent": ("failed on its own", "bad"),
    "recovered": ("recovered", "warn"),
    "compensation": ("undo failed", "bad"),
}
_STANDING: Final = ("⚠ still standing", "⚠ standing", "⚠")
_AWAITED: Final = ("↺ waits to be undone", "↺ waits", "↺")
_BEING_UNDONE: Final = ("↺ being undone", "↺ undoing", "↺")


ROLE_GLYPHS: Final[dict[Role, str]] = {"cause": "◆", "independent": "◇"}
"""Glyphs of failures in the why view, where each row failed or has a failed descendant."""


class Zones(msgspec.Struct, frozen=True):
    """The columns of a row for the tree, the bar and the figures. `pins` is the number of pinned values."""

    label: int
    pins: int
    bar: int
    figures: int


def zones(width: int, pinned: int = 0, *, bars: bool = True) -> Zones:
    """Divide the columns of a row.

    Args:
        width: terminal columns of the row.
        pinned: the number of pinned values wanted.
        bars: whether the row has a bar.
    """
    figures = 12 if width >= 44 else 9
    bar = width // 2 if width >= _HALF else min(72, width * 13 // 50)
    bar = bar if bars and width >= 56 else 0
    room = width - bar - figures
    pins = max(0, min(pinned, (room - _LABEL) // PIN))
    return Zones(room - pins * PIN, pins, bar, figures)


class RowState(msgspec.Struct, frozen=True):
    """How to draw a row, besides its span.

    `view` names the visible part of the trace. It is empty for the whole trace. `critical` marks a span on the critical
    path.
    """

    line: Timeline
    now: int
    folded: bool
    found: bool
    view: str
    pinned: Sequence[Path]
    critical: bool


class SpanRows:
    """Draws the rows of one trace."""

    def __init__(self, trace: Trace, outline: Outline) -> None:
        self._trace, self._outline = trace, outline
        self._anomalies: dict[str, str] = {}
        for anomaly in trace.anomalies:
            for span_id in anomaly.span_ids:
                self._anomalies.setdefault(span_id, anomaly.kind)
        self._standing = {one.span_id: one for one in trace.still_standing}
        self._blocked = {one.span_id for one in trace.never_ran}

    @cached_property
    def _differ_at(self) -> dict[str, int]:
        """For each name of several failed spans, the first place where their ids differ."""
        named: dict[str, list[str]] = {}
        for span_id in self._trace.roles:
            named.setdefault(self._trace.spans[span_id].name, []).append(span_id)
        return {name: len(commonprefix(ids)) for name, ids in named.items() if len(ids) > 1}  # noqa: RUF071 - of text, not of paths

    def parts(self, place: int, rows: Sequence[int], width: int, state: RowState) -> list[Part]:
        """Return the row of the node at `place`, `width` columns wide. `rows` are the visible places."""
        shared = zones(width, len(state.pinned), bars=state.view != "why")
        label, bar = shared.label, shared.bar
        room = label - 1 if bar or shared.pins else label  # a blank after the name
        span_id = self._outline.ids[place]
        span, group = self._trace.spans.get(span_id), self._outline.groups.get(span_id)
        lead = self._lead(place, rows, label, state.folded)
        left = room - sum(len(text) for text, _ in lead)
        hidden = self._hidden(place, rows) if state.folded or state.view else 0
        if group is not None:
            lead += self._group(group, left)
        elif span is None:
            lead += self._missing(span_id, place, state.folded)
        elif state.view == "why":
            lead += self._failure(span, left, hidden, state)
        else:
            lead += self._words(span, left, hidden, found=state.found)
        parts = [*fitted(lead, room), (" " * (label - room), "plain")]
        for path in state.pinned[len(state.pinned) - shared.pins :]:
            value = value_at(span, path) if span is not None else ""
            parts += fitted([(short(value, PIN - 1), "id")], PIN)
        if bar:
            if group is not None:
                parts += group_bar(group, state.line, bar)
            elif span is not None:
                parts += span_bar(span, state.line, bar, critical=state.critical)
            else:
                parts.append((" " * bar, "plain"))
        return parts + self._figures(span, group, state.now, shared.figures)

    def words(self, span: Span) -> list[str]:
        """Return the words beside the name of a span, for the search. The first root also has the verdict."""
        trace = self._trace
        marks = (text for text, _ in self._marks(span, trace.roles.get(span.span_id), _ROOM))
        verdict = [VERDICTS[trace.verdict][1]] if span.span_id == next(iter(trace.roots), None) else []
        return [*marks, *verdict, *([span.status] if span.kind != "point" else [])]

    def marker_column(self, place: int, rows: Sequence[int], label: int) -> int:
        """Return the column of the fold sign, in a row with `label` columns for the tree."""
        return sum(len(text) for text, _ in self._lead(place, rows, label, folded=False)[:-1])

    def _lead(self, place: int, rows: Sequence[int], label: int, folded: bool) -> list[Part]:
        """Return the parts before a node: its depth if not all guides fit, its guides, and its fold sign."""
        depth, guide = guides(self._outline, place, rows, label // 3)
        is_inner = self._outline.sizes[place] > 1
        marker = "▸" if folded and is_inner else "▾" if is_inner else "─" if self._outline.depths[place] else " "
        return [(depth, "muted"), (guide, "guide"), (f"{marker} ", "key" if marker == "▸" else "guide")]

    def _words(self, span: Span, room: int, hidden: int, *, found: bool) -> list[Part]:
        tone = STATUS_TONES[span.status]
        role = self._trace.roles.get(span.span_id)
        count = f" +{hidden:,}" if hidden else ""
        name = short_name(inert(span.name, 200), max(8, room * 2 // 3))
        room -= 2 + len(count)
        marks = list(self._marks(span, role, room - cell_len(name)))
        # Warnings matter more than the full name.
        loud = sum(len(text) + 2 for text, tone in marks if tone == "cause" or text == "⚠")
        if loud:
            name = short(name, max(8, room - loud))
        name_tone = "found" if found else "cause" if role == "cause" else "plain"
        parts: list[Part] = [(f"{GLYPHS[span.status]} ", tone), (name, name_tone), (count, "key")]
        parts += [(f"  {text}", tone) for text, tone in marks]
        if span.error and role not in ("consequence", "recovered"):
            parts.append((f"  {_error(span)}", "muted"))
        return parts

    def _failure(self, span: Span, room: int, hidden: int, state: RowState) -> list[Part]:
        """Return a row of the why view: glyph of the role, name, run or id, and error."""
        role = self._trace.roles.get(span.span_id)
        is_own = role in ERRORS
        tone = "cause" if role == "cause" else STATUS_TONES[span.status] if is_own or role is None else "muted"
        glyph = ROLE_GLYPHS.get(role, GLYPHS[span.status]) if role is not None else GLYPHS[span.status]
        whole = inert(span.name, 200)
        name = short_name(whole, min(len(whole), len(whole.rpartition(".")[2]) + 1))  # room for the error
        name_tone = "found" if state.found else tone if role == "cause" or not is_own else "plain"
        parts: list[Part] = [(f"{glyph} ", tone), (name, name_tone)]
        if hidden:
            parts.append((f" +{hidden:,}", "key"))
        if run := run_words(span, len(self._trace.runs_of(span.span_id))):
            parts.append((f"  {run}", "muted"))
        elif is_own and not state.pinned and (differs_at := self._differ_at.get(span.name)) is not None:
            parts.append((f"  {_identity(span.span_id, differs_at, room)}", "id"))
        if role == "compensation":
            parts.append((f"  {_ROLES[role][0]}", "bad"))
        if span.span_id in self._standing:
            parts.append(("  ⚠", standing_tone(self._trace)))
        if span.error and role != "recovered":
            parts.append((f"  {_error(span)}", "plain" if is_own else "muted"))
        return parts

    def _marks(self, span: Span, role: Role | None, room: int) -> Iterator[Part]:
        """Yield the words beside the name. Warnings become shorter if room is scarce."""
        if run := run_words(span, len(self._trace.runs_of(span.span_id))):
            yield run, "muted"
            room -= len(run) + 2
        if role is not None:
            yield _ROLES[role]
            room -= len(_ROLES[role][0]) + 2
        if span.status == "interrupted" or (role is None and span.status not in ("success", "point")):
            word = "blocked" if span.span_id in self._blocked else span.status
            yield word, "warn" if word == "blocked" else STATUS_TONES[word]
            room -= len(word) + 2
        if (stands := self._standing.get(span.span_id)) is not None:
            said, tone = (_BEING_UNDONE, "busy") if stands.being_undone else (_STANDING, standing_tone(self._trace))
            said, tone = (_AWAITED, "muted") if stands.awaited else (said, tone)
            yield next((text for text in said if len(text) + 2 <= room), said[-1]), tone
        elif span.span_id in self._anomalies:
            words = f"⚠ {self._anomalies[span.span_id].replace('_', ' ')}"
            yield (words if len(words) + 2 <= room else "⚠"), "warn"

    def _hidden(self, place: int, rows: Sequence[int]) -> int:
        """Return the number of hidden direct children. Each member of a group counts."""
        outline = self._outline
        shown = (
            set(rows[bisect_left(rows, place) : bisect_left(rows, outline.end(place))])
            if len(rows) < 5000
            else set[int]()
        )
        children = self._trace.children.get(outline.ids[place], ())
        return sum(outline.places.get(child, -1) not in shown for child in children)

    def _group(self, group: Group, room: int) -> list[Part]:
        name = short_name(inert(group.name, 200), max(8, room // 2))
        count = f" ×{len(group.span_ids):,}"
        least, usual, most = (duration(max(0, one)) for one in group.lengths)
        room -= 2 + cell_len(name) + len(count) + 2
        forms = (f"{least} / {usual} / {most}", f"{least} – {most}", f"≈ {usual}")
        lengths = next((text for text in forms if len(text) <= room), forms[-1])
        return [(f"{GLYPHS['success']} ", "ok"), (name, "plain"), (count, "key"), (f"  {lengths}", "muted")]

    def _missing(self, span_id: str, place: int, folded: bool) -> list[Part]:
        hidden = f" +{self._outline.sizes[place] - 1:,}" if folded else ""
        return [("? ", "warn"), (inert(span_id, 200), "id"), (hidden, "key"), ("  missing parent", "warn")]

    def _figures(self, span: Span | None, group: Group | None, now: int, width: int) -> list[Part]:
        if span is None:
            took = duration(group.last_at - group.first_at) if group is not None else ""
            return [(f"{took:>{width - 1}} ", "plain")]
        took = self._took(span, now)
        tries = f"×{len(span.attempts)}" if span.state.retried or span.state.irregular else ""
        if width < 12 or not tries or tries == "×1" or tries == "×0":
            return [(f"{took:>{width - 1}} ", "plain")]
        return [(f" {tries:<3}", "warn"), (f"{took:>{width - 5}} ", "plain")]

    def _took(self, span: Span, now: int) -> str:
        if span.kind == "point" or span.started_at is None:
            return ""
        if span.ended_at is None:
            return duration(max(0, now - span.started_at)) if self._trace.status == "running" else "—"
        return duration(max(0, span.ended_at - span.started_at))


def _identity(span_id: str, differs_at: int, room: int) -> str:
    """Return the id; in few columns only the part in which it differs from others."""
    if room >= _WIDE:
        return short_middle(inert(span_id, 200), _WHOLE_IDENTITY)
    if differs_at < _LEAST_ALIKE:
        return short_middle(inert(span_id, 200), _IDENTITY)
    start = max(0, min(differs_at, len(span_id) - _IDENTITY + 1))
    return short(f"…{inert(span_id[start:], 200)}" if start else inert(span_id, 200), _IDENTITY)


def _error(span: Span) -> str:
    # The message matters more than the package of the error.
    kind = f"{inert(span.error_type.rpartition('.')[2], 60)}: " if span.error_type else ""
    return f"{kind}{inert(span.error or '', 200)}"


def value_at(span: Span, path: Path) -> str:
    """Return the value at a path in the data of a span, inert; empty if the span has none."""
    value: Any = span.data
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):  # this span has no such value
            return ""
    return inert(as_text(value), 200)
