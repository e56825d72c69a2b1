"""The sentence about a trace in parts: the cause, the standing steps, and the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from sagatrace_tui.model import Trace

__all__ = ["SentencePart", "sentence_parts"]

SentencePart = tuple[str, Literal["cause", "standing", ""]]
"""A text and its kind; empty for the rest."""

_STANDING: Final = re.compile(r"\d+ of \d+ steps? still standing( \(.*\))?", re.DOTALL)


def sentence_parts(trace: Trace) -> Iterator[SentencePart]:
    """Yield the parts of `trace.summary` in order. Joined, they are the summary."""
    text, at = trace.summary, 0
    if trace.failure and (start := text.find(trace.failure)) >= 0:
        yield text[:start], ""
        yield trace.failure, "cause"
        at = start + len(trace.failure)
    if trace.still_standing and (found := _STANDING.search(text, at)) is not None:
        yield text[at : found.start()], ""
        yield found[0], "standing"
        at = found.end()
    yield text[at:], ""
