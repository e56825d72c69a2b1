"""The header of a trace: name, verdict, summary sentence, facts and anomalies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from sagatrace_tui.labels import (
    VERDICTS,
    duration,
    inert,
    plural,
    short,
    short_middle,
    when,
)
from sagatrace_tui.model import Trace
from sagatrace_tui.theme import TONES, VERDICT_TONES, times_of
from sagatrace_tui.times import Times
from sagatrace_tui.views.waiting import waiting_on
from sagatrace_tui.widgets.sentence_parts import SentencePart, sentence_parts

__all__ = ["TraceHeader"]

SENTENCE_LINES: Final = 3
TALL: Final = 20
"""Lines a terminal needs to show the verdict in more than one line."""
BOTH: Final = 76
"""The columns from which a verdict shows in the list's words and in its own."""
_LEAST_CAUSE: Final = 30  # columns of the cause that stay, if the rest of the sentence still does not fit
_STYLES: Final = {"cause": TONES["bad"], "standing": f"{TONES['plain']} bold"}
_DOTTED: Final = re.compile(r"(?<![\w.…])(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_]\w*)")


class TraceHeader(Widget):
    """Three to five lines. `error_place` is (number of the error under the cursor, or 0; number of errors)."""

    DEFAULT_CSS = """
    TraceHeader { height: 3; padding: 0 1; background: $surface; text-wrap: nowrap; }
    """
    ALLOW_SELECT = False

    trace: reactive[Trace | None] = reactive(None, always_update=True)
    now: reactive[int] = reactive(0, repaint=False, init=False)
    error_place: reactive[tuple[int, int]] = reactive((0, 0))
    waiting: reactive[str] = reactive("reading")
    """The work in progress until the trace is read."""

    def __init__(self, trace_id: str) -> None:
        super().__init__()
        self._trace_id = trace_id
        self._most = 1

    def times_changed(self) -> None:
        """Draw again with the new form of times."""
        self.refresh()

    def watch_trace(self) -> None:
        """Fit the height to the summary."""
        self._fit(self.app.size.width, self.app.size.height)

    def on_resize(self) -> None:
        """Break the summary into lines again."""
        self._fit(self.app.size.width, self.app.size.height)

    def _fit(self, width: int, height: int) -> None:
        self._most = 1 if height < TALL else SENTENCE_LINES
        lines = 1 if self.trace is None else len(_state(self.trace, self.now, max(10, width - 2), self._most))
        self.styles.height = lines + 2

    def watch_now(self) -> None:
        """Update the durations and the age of the trace."""
        if self.trace is None:
            return
        if self.trace.status == "running":
            self._fit(self.app.size.width, self.app.size.height)
        self.refresh()

    def render(self) -> Content:
        """The lines."""
        width = max(10, self.size.width)
        if self.trace is None:
            return Content.assemble(
                (f"… {self.waiting}  ", TONES["muted"]), (inert(self._trace_id), TONES["id"]), "\n\n"
            )
        return Content("\n").join(
            [
                _title(self.trace, width),
                *_state(self.trace, self.now, width, self._most),
                _facts(self.trace, self.now, width, self.error_place, times_of(self)),
            ]
        )


def _title(trace: Trace, width: int) -> Content:
    verdict = " ".join(VERDICTS[trace.verdict])
    room = width - cell_len(verdict) - 4
    name = short(inert(trace.name, 200) or "(no spans)", max(6, room - 14))
    trace_id = short_middle(inert(trace.trace_id), max(0, room - cell_len(name)))
    parts = (
        (verdict, f"{TONES[VERDICT_TONES[trace.verdict]]} bold"),
        (f"  {name}", f"{TONES['plain']} bold"),
        (" " * max(2, room - cell_len(name) - cell_len(trace_id) + 2), ""),
        (trace_id, TONES["id"]),
    )
    return Content.assemble(*_cut(parts, width))  # in one line, or it pushes another out of sight


def _state(trace: Trace, now: int, width: int, most: int) -> list[Content]:
    """Return the summary, and the span that a running trace waits on. The wait alone, if the summary adds nothing."""
    waiting = waiting_on(trace, now)
    if waiting is None or not waiting.line:
        return _sentence(trace, width, most)
    shown = inert(waiting.line, 600)
    if cell_len(shown) + 9 > width:
        shown = _DOTTED.sub("…", shown)
    parts = (("waits on ", TONES["muted"]), (shown, TONES["busy"]))
    line = Content.assemble(*_cut(parts, width))
    if trace.verdict == "running" and trace.cause is None:
        return [line]
    return [*_sentence(trace, width, min(most, 2)), line] if most > 1 else _sentence(trace, width, most)


def _sentence(trace: Trace, width: int, lines: int) -> list[Content]:
    """Return the summary in at most `lines` lines. Module names are shortened first, then the cause."""
    parts: list[SentencePart] = [(inert(text, 600), kind) for text, kind in sentence_parts(trace)]
    found, fits = _broken("".join(text for text, _ in parts), width, lines)
    if not fits or (lines > 1 and len(found) == lines):
        parts = [(_DOTTED.sub("…", text), kind) for text, kind in parts]
        found, fits = _broken("".join(text for text, _ in parts), width, lines)
    cause = next((text for text, kind in parts if kind == "cause"), "")
    for room in range(min(cell_len(cause) - 1, width * lines), _LEAST_CAUSE, -2):
        if fits:
            break
        parts = [(short(cause, room) if kind == "cause" else text, kind) for text, kind in parts]
        found, fits = _broken("".join(text for text, _ in parts), width, lines)
    return _toned([short(line, width) for line in found], parts)


def _toned(lines: Sequence[str], parts: Sequence[SentencePart]) -> list[Content]:
    """Return the lines of a sentence in the styles of its parts."""
    toned: list[Content] = []
    at = 0
    for line in lines:
        content, start = Content.styled(line, TONES["plain"]), 0
        for text, kind in parts:
            first, last = max(0, start - at), min(len(line), start + len(text) - at)
            if kind and first < last:
                content = content.stylize(_STYLES[kind], first, last)
            start += len(text)
        toned.append(content)
        at += len(line) + 1
    return toned


def _broken(text: str, width: int, lines: int) -> tuple[list[str], bool]:
    """Return the text in at most `lines` lines, and whether it is complete."""
    words = text.split(" ")
    found = [""]
    for word in words:
        longer = f"{found[-1]} {word}" if found[-1] else word
        if cell_len(longer) <= width or not found[-1]:
            found[-1] = longer
        elif len(found) < lines:
            found.append(word)
        else:
            found[-1] = short(longer, width)
            return found, False
    return found, cell_len(found[-1]) <= width


def _facts(trace: Trace, now: int, width: int, error_place: tuple[int, int], times: Times) -> Content:
    which, errors = error_place
    loud = []
    if errors:
        consequences = sum(role == "consequence" for role in trace.roles.values())
        more = f" (+{plural(consequences, 'consequence')})" if consequences else ""
        loud.append((f"error {which} of {errors}" if which else plural(errors, "error")) + more)
    if trace.anomalies:
        kinds = ", ".join(dict.fromkeys(one.kind.replace("_", " ") for one in trace.anomalies))
        loud.append(f"⚠ {kinds}" if width >= 60 else f"⚠ {plural(len(trace.anomalies), 'anomaly')}")
    facts = [f"{'running for' if trace.status == 'running' else 'took'} {duration(trace.elapsed(now))}"]
    exactly = times.clock(trace.started_at) if width >= 90 else times.of_day(trace.started_at, now)
    ago = when(trace.started_at, now)
    facts.append(f"started {f'{ago} at {exactly}' if width >= 70 else times.brief(trace.started_at, now)}")
    facts += [plural(len(trace.spans), "span"), plural(trace.event_count, "event")]
    parts: list[tuple[str, str]] = []
    shown = [*loud, *facts]
    while len(shown) > 1 and cell_len(" · ".join(shown)) > width:  # drop a fact rather than cut a number
        shown.pop()
    for number, fact in enumerate(shown):
        tone = "muted" if number >= len(loud) else "warn" if fact.startswith("⚠") else "bad"
        parts += [(" · " if number else "", TONES["muted"]), (fact, TONES[tone])]
    return Content.assemble(*_cut(parts, width))


def _cut(parts: Iterable[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """Return the parts that fit in `width` columns; the last is cut."""
    kept: list[tuple[str, str]] = []
    for text, tone in parts:
        cut = short(text, width)
        kept.append((cut, tone))
        width -= cell_len(cut)
        if cut != text or width <= 0:
            break
    return kept
