"""Text for screens and commands: durations, times, verdicts, shortened names. Pure, without styles.

Every value from a job passes `inert` before it reaches a terminal. So a terminal shows it and never acts on it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from sagatrace_tui.model import Span, Trace, Verdict

__all__ = [
    "GLYPHS",
    "VERDICTS",
    "clock",
    "copyable",
    "duration",
    "inert",
    "moment",
    "offset",
    "one_line",
    "plural",
    "run_words",
    "saga_name",
    "short",
    "short_middle",
    "short_name",
    "size",
    "span_line",
    "standing_tone",
    "status_words",
    "verdict_words",
    "when",
]

GLYPHS: Final[Mapping[str, str]] = {
    "success": "✔",
    "failed": "✘",
    "running": "▶",
    "queued": "◌",
    "stopped": "■",
    "canceled": "⊘",
    "interrupted": "↯",
    "point": "•",
    "unknown": "?",
}

VERDICTS: Final[Mapping[Verdict, tuple[str, str]]] = {
    "succeeded": ("✔", "succeeded"),
    "running": ("▶", "running"),
    "compensating": ("↺", "compensating"),
    "failed": ("✘", "failed"),
    "rolled_back": ("↩", "rolled back"),
    "rollback_incomplete": ("⚠", "rollback incomplete"),
    "rollback_missing": ("⚠", "rollback missing"),
    "succeeded_but_compensated": ("⚠", "succeeded but compensated"),
    "unknown": ("?", "unknown"),
}
"""The glyph and the words of each verdict."""


# These characters must not reach a terminal: controls (C0, DEL, C1), bidi controls, zero-width characters, tags, line
# and paragraph separators, lone surrogates and private use. Joiners stay in scripts that need them. So do variation
# selectors after signs with two forms (⚠ as text or emoji).
_JOINED: Final = "\u0620-\u06ff\u0750-\u08ff\u0900-\u109f\u1780-\u17d3\u1820-\u18aa"
_TWO_FORMS: Final = "#*0-9\xa9\xae\u203c-\u3299\U0001f000-\U0001faff"
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ACTIVE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\ue000-\uf8ff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
    f"|(?<![{_JOINED}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED}])|(?<![{_TWO_FORMS}])[\ufe0e\ufe0f]"
)


# Many combining marks on one letter would cover the lines above and below.
_MARKS: Final = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILED: Final = re.compile(f"({_MARKS}{{3}})({_MARKS}+)")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the picture of the control: ESC is ␛
    if code == 0x7F:
        return "␡"
    return f"⟨U+{code:04X}⟩"


def inert(text: str, limit: int | None = None, *, lines: bool = False) -> str:
    """Return the text with visible signs in place of characters that a terminal acts on.

    A text longer than `limit` characters is cut, with a note. With `lines`, line ends and tabs keep their meaning.
    Otherwise they become ␊ and ␉.
    """
    cut = ""
    if limit is not None and len(text) > limit:
        cut = f"… [{len(text):,} characters]"
        text = text[:limit]
    if lines:
        text = text.replace("\r\n", "\n").expandtabs(4)
        return "\n".join(_shown(line) for line in text.split("\n")) + cut
    return _shown(text) + cut


def _shown(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return _PILED.sub(lambda match: f"{match[1]}⟨+{len(match[2])} marks⟩", _ACTIVE.sub(_visible, line))


def copyable(text: str) -> str:
    """Return the text with visible signs in place of control characters, safe to paste into a terminal."""
    return _CONTROLS.sub(_visible, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """Return typed or pasted text without characters that a terminal acts on. Tabs and line ends become blanks."""
    line = _ACTIVE.sub(lambda match: " " if match[0].isspace() else "", text)
    return _PILED.sub(lambda match: match[1], line)


def short(text: str, width: int) -> str:
    """Return the text in at most `width` columns. A cut text ends in …."""
    columns = 0
    for index, char in enumerate(text):
        columns += _columns(char)
        if columns > width:
            kept = text[:index]
            while kept and sum(map(_columns, kept)) > width - 1:
                kept = kept[:-1]
            return kept + "…"
    return text


def short_middle(text: str, width: int) -> str:
    """Return the text in at most `width` columns, cut in the middle, since ids and paths differ at their ends."""
    if len(text) <= width and sum(map(_columns, text)) <= width:
        return text
    if width < 5:
        return short(text, width)
    tail = (width - 1) // 2
    end = short(text[::-1], tail + 1)[:-1][::-1]
    return short(text, width - tail) + end


def short_name(name: str, width: int) -> str:
    """Return a dotted name without the leading parts that do not fit `width`, like `…loan_saga.approve_loan`.

    The last part is never cut, nor is a name without dots.
    """
    if sum(map(_columns, name)) <= width or " " in name:
        return name
    parts = name.split(".")
    while len(parts) > 1 and sum(map(_columns, ".".join(parts))) >= width:
        del parts[0]
    rest = ".".join(parts)
    return rest if rest == name else f"…{rest}"


def saga_name(name: str) -> str:
    """Return the name of a saga for a narrow column, inert: `loan-approval` for `workflow:loan-approval`."""
    return inert(name.removeprefix("workflow:").removeprefix("saga:") or name, 200)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 error`, `2,000 errors`. A noun in -y gets -ies."""
    if count == 1:
        return f"1 {noun}"
    ending = "ies" if noun.endswith("y") else "s"
    return f"{count:,} {noun.removesuffix('y') if ending == 'ies' else noun}{ending}"


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def duration(micros: int | None) -> str:
    """Return a duration with about three digits: `850µs`, `12.3ms`, `4.56s`, `3m02s`, `2h05m`, `4d03h`."""
    if micros is None:
        return "—"
    if micros < 1_000:
        return f"{micros}µs"
    if micros < 999_500:  # 999.5 ms and more would round to 1000ms
        return f"{_three(micros / 1_000)}ms"
    seconds = micros / 1_000_000
    if seconds < 59.95:
        return f"{_three(seconds)}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def _three(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def clock(micros: int | None) -> str:
    """Return a moment in UTC, to the second: `2025-12-22 10:00:01Z`."""
    if micros is None:
        return "—"
    return f"{_utc(micros)}Z"


def moment(micros: int | None) -> str:
    """Return a moment in UTC, to the millisecond: `2025-12-22 10:00:01.100Z`."""
    if micros is None:
        return "—"
    return f"{_utc(micros)}.{micros // 1000 % 1000:03}Z"


def _utc(micros: int) -> str:
    try:
        return f"{_EPOCH + timedelta(seconds=micros // 1_000_000):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # the UTC offset of a valid timestamp can lead outside the years 1 to 9999
        return "0000-00-00 00:00:00"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def offset(micros: int, origin: int) -> str:
    """Return the distance of a moment from `origin`: `+1.10s`, `-12.0ms`, `+0`."""
    if micros == origin:
        return "+0"
    return f"{'+' if micros > origin else '-'}{duration(abs(micros - origin))}"


def when(micros: int | None, now: int) -> str:
    """Return the age of a moment: `12s ago`; for a moment after `now`: `in 3s`."""
    if micros is None:
        return "—"
    seconds = (now - micros) // 1_000_000
    if seconds < 0:
        return f"in {_coarse(-seconds)}"
    return f"{_coarse(seconds)} ago"


def _coarse(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def run_words(span: Span, runs: int) -> str:
    """Return the run of a job's span, like `run 2 of 4`; empty if the job ran once."""
    return f"run {span.run} of {runs}" if span.run and runs > 1 else ""


def span_line(span: Span, *, ended: bool = False, runs: int = 0) -> str:
    """Return a span in one line: glyph, name, run, status, duration, attempts and error.

    Args:
        span: the span.
        ended: whether its trace has ended. An open span then shows as `never ended`.
        runs: the number of runs of its job.
    """
    lost = ended and span.is_open
    parts = [GLYPHS["unknown" if lost else span.status], inert(span.name, 120)]
    if run := run_words(span, runs):
        parts.append(f"({run})")
    if span.kind != "point":
        parts.append("never ended" if lost else span.status)
    if span.started_at is not None and span.ended_at is not None:
        parts.append(duration(max(0, span.ended_at - span.started_at)))
    if len(span.attempts) > 1:
        parts.append(f"×{len(span.attempts)} attempts")
    if span.error:
        kind = f"{inert(span.error_type, 60)}: " if span.error_type else ""
        parts.append(f"· {kind}{inert(span.error, 160)}")
    return " ".join(parts)


def status_words(status: str) -> str:
    """Return a status as glyph and word."""
    return f"{GLYPHS[status]} {status}"


def standing_tone(trace: Trace) -> str:
    """Return the tone of steps that stand: only a warning while the saga still runs, as it may yet begin to undo."""
    return "warn" if trace.verdict == "running" else "cause"


def verdict_words(verdict: Verdict) -> str:
    """Return a verdict as glyph and words."""
    return " ".join(VERDICTS[verdict])


def size(characters: int) -> str:
    """Return the length of a text: `812 characters`, `12.4k characters`."""
    if characters < 1000:
        return plural(characters, "character")
    return f"{_three(characters / 1000)}k characters" if characters < 1_000_000 else f"{characters:,} characters"
