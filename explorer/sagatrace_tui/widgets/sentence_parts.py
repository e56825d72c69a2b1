"""The sentence about a trace in parts: the cause, the standing steps, and the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from sagatrace_tui.model import Trace
from sagatrace_tui.model.sentence import cause_text

__all__ = ["SentencePart", "sentence_parts"]

SentencePart = tuple[str, Literal["cause", "standing", ""]]
"""A text and its kind; empty for the rest."""

_STANDING: Final = re.compile(r"\d+ of \d+ steps? still standing( \(.*\))?", re.DOTALL)


def sentence_parts(trace: Trace) -> Iterator[SentencePart]:
    """Yield the parts of `trace.summary` in order. Joined, they are the summary."""
    text, at = trace.summary, 0
    cause = cause_text(trace.cause) if trace.cause is not None else ""
    if cause and (start := text.find(cause)) >= 0:
        yield text[:start], ""
        yield cause, "cause"
        at = start + len(cause)
    if trace.still_standing and (found := _STANDING.search(text, at)) is not None:
        yield text[at : found.start()], ""
        yield found[0], "standing"
        at = found.end()
    yield text[at:], ""
