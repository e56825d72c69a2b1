"""What a row of the span tree shows: guides, glyph, name, words, bar, figures. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from sagatrace_tui.labels import GLYPHS, VERDICTS, duration, inert, run_words, short, short_name
from sagatrace_tui.model import Role, Span, Trace
from sagatrace_tui.theme import STATUS_TONES
from sagatrace_tui.views.outline import Group, Outline
from sagatrace_tui.views.timeline import Timeline
from sagatrace_tui.widgets.bars import group_bar, span_bar
from sagatrace_tui.widgets.rows import Part, fitted

__all__ = ["SpanRows", "zones"]

MAX_LEVELS: Final = 24  # levels of guides kept; what lies deeper shows its nearest ancestors only
_ROOM: Final = 10_000  # terminal columns in which every word is shown whole
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


def zones(width: int) -> tuple[int, int, int]:
    """How a row is shared: columns for the tree, the bar and the figures."""
    figures = 12 if width >= 44 else 9
    bar = min(72, width * 13 // 50) if width >= 56 else 0
    return width - bar - figures, bar, figures


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

    def parts(
        self,
        place: int,
        rows: Sequence[int],
        width: int,
        *,
        line: Timeline,
        now: int,
        folded: bool,
        found: bool,
        part: bool,
    ) -> list[Part]:
        """The row of one node; `part` says that not all nodes show."""
        label, bar, figures = zones(width)
        room = label - 1 if bar else label  # a name never touches its bar
        span_id = self._outline.ids[place]
        span, group = self._trace.spans.get(span_id), self._outline.groups.get(span_id)
        lead = self._guides(place, rows, label // 3, folded)
        if group is not None:
            lead += self._group(group, room - sum(len(text) for text, _ in lead))
        elif span is not None:
            lead += self._words(place, span, room - sum(len(text) for text, _ in lead), folded or part, rows, found)
        else:
            lead += self._missing(span_id, place, folded)
        parts = [*fitted(lead, room), (" " * (label - room), "plain")]
        if bar:
            if group is not None:
                parts += group_bar(group, line, bar)
            else:
                parts += span_bar(span, line, bar) if span is not None else [(" " * bar, "plain")]
        return parts + self._figures(span, group, now, figures)

    def words(self, span: Span) -> list[str]:
        """Return the words that a wide row has beside the name of a span; of the first root also the verdict."""
        trace = self._trace
        marks = (text for text, _ in self._marks(span, trace.roles.get(span.span_id), _ROOM))
        verdict = [VERDICTS[trace.verdict][1]] if span.span_id == next(iter(trace.roots), None) else []
        return [*marks, *verdict, *([span.status] if span.kind != "point" else [])]

    def marker_column(self, place: int, rows: Sequence[int], label: int) -> int:
        """The column of the sign that a node is folded or unfolded, in a row with so many columns for its tree."""
        return len(self._guides(place, rows, label // 3, folded=False)[0][0])

    def _guides(self, place: int, rows: Sequence[int], width: int, folded: bool) -> list[Part]:
        outline = self._outline
        steps: list[str] = []
        node = place
        while outline.parents[node] >= 0 and len(steps) < MAX_LEVELS:
            last = outline.is_last(node, rows)
            steps.append(("└─" if last else "├─") if node == place else ("  " if last else "│ "))
            node = outline.parents[node]
        guide = "".join(reversed(steps))
        if len(guide) > max(4, width) or outline.parents[node] >= 0:
            guide = "⋯" + guide[-max(3, min(width, len(guide)) - 1) :]
        inner = outline.sizes[place] > 1
        marker = "▸" if folded and inner else "▾" if inner else "─" if outline.depths[place] else " "
        return [(guide, "guide"), (f"{marker} ", "key" if marker == "▸" else "guide")]

    def _words(
        self, place: int, span: Span, room: int, count_hidden: bool, rows: Sequence[int], found: bool
    ) -> list[Part]:
        tone = STATUS_TONES[span.status]
        role = self._trace.roles.get(span.span_id)
        hidden = self._hidden(place, rows) if count_hidden else 0
        count = f" +{hidden:,}" if hidden else ""
        name = short_name(inert(span.name, 200), max(8, room * 2 // 3))
        room -= 2 + len(count)
        marks = list(self._marks(span, role, room - cell_len(name)))
        # What is loud about a span is worth more than the whole of its name.
        loud = sum(len(text) + 2 for text, tone in marks if tone == "cause" or text == "⚠")
        if loud:
            name = short(name, max(8, room - loud))
        name_tone = "found" if found else "cause" if role == "cause" else "plain"
        parts: list[Part] = [(f"{GLYPHS[span.status]} ", tone), (name, name_tone), (count, "key")]
        parts += [(f"  {text}", tone) for text, tone in marks]
        if span.error and role not in ("consequence", "recovered"):
            kind = f"{inert(span.error_type, 60)}: " if span.error_type else ""
            parts.append((f"  {kind}{inert(span.error, 200)}", "muted"))
        return parts

    def _marks(self, span: Span, role: Role | None, room: int) -> Iterator[Part]:
        """What there is to say beside the name, the signs of trouble as long as there is room for."""
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
            said, tone = (_BEING_UNDONE, "busy") if stands.being_undone else (_STANDING, "cause")
            said, tone = (_AWAITED, "muted") if stands.awaited else (said, tone)
            yield next((text for text in said if len(text) + 2 <= room), said[-1]), tone
        elif span.span_id in self._anomalies:
            words = f"⚠ {self._anomalies[span.span_id].replace('_', ' ')}"
            yield (words if len(words) + 2 <= room else "⚠"), "warn"

    def _hidden(self, place: int, rows: Sequence[int]) -> int:
        """How many direct children do not show, members of a group counted each."""
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
        told = (f"{least} / {usual} / {most}", f"{least} – {most}", f"≈ {usual}")
        lengths = next((text for text in told if len(text) <= room), told[-1])
        return [(f"{GLYPHS['success']} ", "ok"), (name, "plain"), (count, "key"), (f"  {lengths}", "muted")]

    def _missing(self, span_id: str, place: int, folded: bool) -> list[Part]:
        hidden = f" +{self._outline.sizes[place] - 1:,}" if folded else ""
        return [("? ", "warn"), (inert(span_id, 200), "id"), (hidden, "key"), ("  missing parent", "warn")]

    def _figures(self, span: Span | None, group: Group | None, now: int, width: int) -> list[Part]:
        if span is None:
            took = duration(group.last_at - group.first_at) if group is not None else ""
            return [(f"{took:>{width - 1}} ", "muted")]
        took = self._took(span, now)
        tries = f"×{len(span.attempts)}" if span.state.retried or span.state.irregular else ""
        if width < 12 or not tries or tries == "×1" or tries == "×0":
            return [(f"{took:>{width - 1}} ", "muted")]
        return [(f" {tries:<3}", "warn"), (f"{took:>{width - 5}} ", "muted")]

    def _took(self, span: Span, now: int) -> str:
        if span.kind == "point" or span.started_at is None:
            return ""
        if span.ended_at is None:
            return duration(max(0, now - span.started_at)) if self._trace.status == "running" else "—"
        return duration(max(0, span.ended_at - span.started_at))
