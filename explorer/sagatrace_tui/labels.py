"""What is shown of spans and traces, as plain text: pure, no styles, no framework.

Everything a job wrote passes `inert` before it reaches a terminal: it is shown, never interpreted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sagatrace_tui.model import Span, SpanStatus, Trace

__all__ = ["GLYPHS", "clock", "duration", "inert", "short", "span_line", "when"]

GLYPHS: Final[Mapping[str, str]] = {
    "success": "✔",
    "failed": "✘",
    "running": "▶",
    "queued": "◌",
    "stopped": "■",
    "canceled": "⊘",
    "point": "•",
    "unknown": "?",
}


# Controls (C0, DEL, C1), what turns or hides text (bidi, zero-width, tags), line and paragraph separators,
# lone surrogates and private use: none may reach a terminal as it is.
_ACTIVE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\ue000-\uf8ff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the control's own picture: ESC is ␛
    if code == 0x7F:
        return "␡"
    return f"⟨U+{code:04X}⟩"


def inert(text: str, limit: int | None = None, *, lines: bool = False) -> str:
    """The text with nothing in it that a terminal would act on; past `limit` characters cut, and said so.

    With `lines`, line ends and tabs keep their meaning; without, they are shown as ␊ and ␉.
    """
    cut = ""
    if limit is not None and len(text) > limit:
        cut = f"… [{len(text):,} characters]"
        text = text[:limit]
    if lines:
        text = text.replace("\r\n", "\n").expandtabs(4)
        return "\n".join(_ACTIVE.sub(_visible, line) for line in text.split("\n")) + cut
    return _ACTIVE.sub(_visible, text) + cut


def short(text: str, width: int) -> str:
    """The text in at most `width` columns, with … where it was cut."""
    columns = 0
    for index, char in enumerate(text):
        columns += _columns(char)
        if columns > width:
            kept = text[:index]
            while kept and sum(map(_columns, kept)) > width - 1:
                kept = kept[:-1]
            return kept + "…"
    return text


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def duration(micros: int | None) -> str:
    """A length of time to about three digits: `850µs`, `12.3ms`, `4.56s`, `3m02s`, `2h05m`, `4d03h`."""
    if micros is None:
        return "—"
    if micros < 1_000:
        return f"{micros}µs"
    if micros < 1_000_000:
        return f"{_three(micros / 1_000)}ms"
    seconds = micros / 1_000_000
    if seconds < 60:
        return f"{_three(seconds)}s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def _three(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def clock(micros: int | None) -> str:
    """A moment as UTC, to the second: `2025-12-22 10:00:01Z`."""
    if micros is None:
        return "—"
    return f"{datetime.fromtimestamp(micros / 1_000_000, UTC):%Y-%m-%d %H:%M:%S}Z"


def when(micros: int | None, now: int) -> str:
    """How long ago a moment was: `12s ago`; a clock ahead of ours gives `in 3s`."""
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


def span_line(span: Span) -> str:
    """One span in one line: glyph, name, status in words, how long, attempts, error."""
    parts = [GLYPHS[span.status], inert(span.name, 120)]
    if span.kind != "point":
        parts.append(span.status)
    if span.started_at is not None and span.ended_at is not None:
        parts.append(duration(max(0, span.ended_at - span.started_at)))
    if len(span.attempts) > 1:
        parts.append(f"×{len(span.attempts)} attempts")
    if span.error:
        kind = f"{inert(span.error_type, 60)}: " if span.error_type else ""
        parts.append(f"· {kind}{inert(span.error, 160)}")
    return " ".join(parts)


def status_words(status: SpanStatus | Trace | str) -> str:
    """A status as glyph and word, never by colour alone."""
    word = status.status if isinstance(status, Trace) else status
    return f"{GLYPHS[word]} {word}"
