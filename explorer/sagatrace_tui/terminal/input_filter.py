"""Remove malformed bytes from a terminal's input, so that Textual's parser can read it. Pure, but for a clock.

A terminal sends keys, reports of the mouse in three codings, answers to questions, pastes, and letters of other
character sets. Any of these may be torn. An unexpected byte must not end the app.
"""

from __future__ import annotations

import re
import time
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Final

from textual import constants

from sagatrace_tui.terminal.key_sequences import REPORT, key_sequences, mouse_sequence, sgr_mouse

__all__ = ["InputFilter"]

PATIENCE: Final = 0.5
"""Seconds to wait for the rest of a sequence. Then it is dropped, and the next byte is a key again."""
PASTE_PATIENCE: Final = 1.0
"""Seconds without a byte that end a paste without an end mark."""
LARGEST_PASTE: Final = 100_000
_LONGEST: Final = 4096  # bytes kept of a sequence without an end yet

_PASTE_END: Final = b"\x1b[201~"
_CSI: Final = re.compile(rb"\x1b\[([0-9:;<=>?]*)([ -/]*)([@-~])")
_CSI_BEGUN: Final = re.compile(rb"\x1b\[[0-9:;<=>?]*[ -/]*")
_STRING: Final = re.compile(rb"\x1b[\]P_^X]([^\x07\x1b]*)(\x07|\x1b\\|\x1b)", re.DOTALL)
_CSI_END: Final = re.compile(rb"[@-~]|\x1b")
_STRING_END: Final = re.compile(rb"\x07|\x1b\\?")
_SS3: Final = frozenset(b"ABCDFHPQRSMabcdjkmnopqrstuvwxy")
_ESCAPE: Final = "\x1b" if constants.DISABLE_KITTY_KEY else "\x1b[27u"  # the latter without another delay
_UNWANTED: Final = re.compile("[\x80-\x9f]")  # controls of eight bits
_UNPASTED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class InputFilter:
    """Take bytes as they come, and return text for the parser. `dropped` counts malformed sequences.

    `replies` are answers to operating system commands (OSC), without their frame. Call `tick` if `deadline` passes
    without a byte. A terminal sends ESC and a letter together for one key with Alt. A letter that comes after ESC is
    another key. With `delays_escape`, the two are always two keys.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, delays_escape: bool = False) -> None:
        self._clock, self._delays_escape = clock, delays_escape
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._held = b""
        self._skips: re.Pattern[bytes] | None = None  # to the end of a sequence that was too long to be kept
        self._pasted: int | None = None
        self._button = 0
        self._resizes = False
        self.deadline: float | None = None
        self.dropped = 0
        self.replies: list[str] = []

    def feed(self, data: bytes) -> str:
        """Return the text that these bytes complete."""
        fresh = not self._held
        apart = self._delays_escape or self._held == b"\x1b"  # the ESC at the beginning came before the other bytes
        data, self._held = self._held + data, b""
        out: list[str] = []
        at = 0
        while at < len(data):
            if self._skips is not None:
                at = self._skipped(self._skips, data, at)
            elif self._pasted is not None:
                at = self._paste(data, at, out)
            elif data[at] != 0x1B:
                end = data.find(b"\x1b", at)
                at, start = (end if end >= 0 else len(data)), at
                out.append(_UNWANTED.sub("", self._decoder.decode(data[start:at], final=end >= 0)))
            elif self._decoder.getstate()[0]:
                out.append(self._decoder.decode(b"", final=True))  # ESC ends a torn character
            elif (end := self._sequence(data, at, out, apart=apart if at == 0 else self._delays_escape)) < 0:
                self._hold(data[at:])
                break
            else:
                at = end
        self._set_deadline(fresh)
        return "".join(out)

    def tick(self) -> str:
        """Return the text that counts as complete after the deadline: the key Esc, or the end of a paste."""
        held, self._held, self.deadline = self._held, b"", None
        self._skips = None
        if self._pasted is not None:
            self._pasted = None
            self.dropped += 1
            return self._decoder.decode(b"", final=True) + _PASTE_END.decode()
        if held == b"\x1b":
            return _ESCAPE
        self.dropped += bool(held)
        return self._decoder.decode(b"", final=True)

    def _set_deadline(self, fresh: bool) -> None:
        if self._pasted is not None:
            self.deadline = self._clock() + PASTE_PATIENCE
        elif self._held == b"\x1b":
            self.deadline = self._clock() + constants.ESCAPE_DELAY
        elif not self._held and self._skips is None and not self._decoder.getstate()[0]:
            self.deadline = None
        elif fresh or self.deadline is None:
            self.deadline = self._clock() + PATIENCE

    def _hold(self, begun: bytes) -> None:
        if len(begun) <= _LONGEST:
            self._held = begun
            return
        self.dropped += 1
        self._skips = _CSI_END if begun[1:2] == b"[" else _STRING_END

    def _skipped(self, until: re.Pattern[bytes], data: bytes, at: int) -> int:
        end = until.search(data, at)
        if end is None:
            return len(data)
        self._skips = None
        return end.end() if end[0] != b"\x1b" else end.start()

    def _paste(self, data: bytes, at: int, out: list[str]) -> int:
        """Pass on pasted text without control characters, which would act as keys."""
        end = data.find(_PASTE_END, at)
        stop = end if end >= 0 else len(data)
        if end < 0:
            kept = next((n for n in range(len(_PASTE_END) - 1, 0, -1) if data.endswith(_PASTE_END[:n], at)), 0)
            stop -= kept
            self._held = data[stop:]
        text = _UNPASTED.sub("", self._decoder.decode(data[at:stop], final=end >= 0))
        pasted = self._pasted or 0
        out.append(text[: max(0, LARGEST_PASTE - pasted)])
        self._pasted = pasted + len(text)
        if end < 0:
            return len(data)
        self._pasted = None
        out.append(_PASTE_END.decode())
        return end + len(_PASTE_END)

    def _sequence(self, data: bytes, at: int, out: list[str], *, apart: bool) -> int:
        """Take the sequence that begins at `at`. Return its end, or -1 if it is incomplete.

        With `apart`, ESC and a letter are two keys.
        """
        if at + 1 == len(data):
            return -1
        kind = data[at + 1]
        if kind == 0x5B:
            return self._csi(data, at, out)
        if kind == 0x4F:
            return self._ss3(data, at, out)
        if kind in b"]P_^X":
            return self._string(data, at)
        if 0x20 <= kind < 0x7F and not apart:
            if not constants.DISABLE_KITTY_KEY:
                out.append(f"\x1b[{kind};3u")  # with Alt; as ESC and a letter, it would swallow the next key
            return at + 2
        if kind < 0x7F:
            out.append(_ESCAPE)
            return at + 1
        self.dropped += 1
        return at + 2 if kind == 0x7F else at + 1

    def _ss3(self, data: bytes, at: int, out: list[str]) -> int:
        if at + 2 == len(data):
            return -1
        if data[at + 2] in _SS3:
            out.append(data[at : at + 3].decode())
            return at + 3
        self.dropped += 1
        return at + 3 if 0x20 <= data[at + 2] < 0x7F else at + 2

    def _string(self, data: bytes, at: int) -> int:
        match = _STRING.match(data, at)
        if match is None or (match[2] == b"\x1b" and match.end() == len(data)):
            return -1
        if match[2] == b"\x1b":
            self.dropped += 1
            return match.end() - 1
        if data[at + 1] == 0x5D:
            self.replies.append(match[1].decode(errors="replace"))
        return match.end()

    def _csi(self, data: bytes, at: int, out: list[str]) -> int:
        if data.startswith(b"M", at + 2):
            return self._x10(data, at, out)
        if data.startswith(b"[", at + 2):  # function keys of the Linux console
            if at + 3 == len(data):
                return -1
            known = data[at + 3] in b"ABCDE"
            out.append(data[at : at + 4].decode() if known else "")
            self.dropped += not known
            return at + 4 if 0x20 <= data[at + 3] < 0x7F else at + 3
        match = _CSI.match(data, at)
        if match is None:
            begun = _CSI_BEGUN.match(data, at)
            end = begun.end() if begun is not None else at + 2
            self.dropped += end < len(data)
            return end if end < len(data) else -1
        found = self._complete(match[1].decode(), match[2].decode(), chr(match[3][0]))
        self.dropped += found is None
        out.append(found or "")
        return match.end()

    def _complete(self, params: str, between: str, final: str) -> str | None:
        whole = f"{params}{between}{final}"
        if whole == "200~":
            self._pasted = 0
            return "\x1b[200~"
        if REPORT.fullmatch(whole):
            self._resizes = self._resizes or whole in ("?2048;1$y", "?2048;2$y")
            return f"\x1b[{whole}" if self._resizes or not whole.startswith("48;") else None
        return None if between else mouse_sequence(params, final) or key_sequences(params, final)

    def _x10(self, data: bytes, at: int, out: list[str]) -> int:
        """Take a report of the mouse in the oldest coding: three bytes, each 32 more than its value."""
        report = data[at + 3 : at + 6]
        bad = next((place for place, byte in enumerate(report) if 0 < byte < 32), -1)
        if bad >= 0:
            self.dropped += 1
            return at + 3 + bad
        if len(report) < 3:
            return -1
        button, column, row = (byte - 32 for byte in report)
        if column < 1 or row < 1 or button < 0:  # beyond the range of this coding
            self.dropped += 1
            return at + 6
        if button & 3 != 3 and not button & 96:
            self._button = button & 3
        out.append(sgr_mouse(button, column, row, self._button))
        return at + 6
