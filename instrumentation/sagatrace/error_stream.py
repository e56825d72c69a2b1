"""Standard error of a command: no secret in it, and nothing that a terminal acts on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO, cast

from sagatrace.shown import masked, printable_lines

__all__ = ["print_errors_plainly"]


def print_errors_plainly(plain: Callable[[str], str] = printable_lines) -> None:
    """Have all that this process writes to standard error pass through `masked` and `plain`."""
    if sys.stderr is not None:  # closed by the caller
        sys.stderr = cast("TextIO", _PlainErrors(sys.stderr, plain))


class _PlainErrors:
    """Standard error whose texts are masked and plain.

    It counts as no terminal, so that no library colours its text.
    """

    buffer = None  # a library that writes bytes past `write` finds none

    def __init__(self, stream: TextIO, plain: Callable[[str], str]) -> None:
        self._stream = stream
        self._plain = plain
        self.encoding, self.errors = stream.encoding, stream.errors

    def write(self, text: str) -> int:
        """Write the text, and return its length as it was given."""
        self._stream.write(self._plain(masked(text)))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return False: this is not a terminal."""
        return False
