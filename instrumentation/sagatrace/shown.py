"""Text for people and logs, without secrets and without control characters.

`masked` hides the secrets in addresses. `printable` escapes control characters, and characters that reverse or hide
text. Loggers from `logger` do both to the arguments and the traceback of each record.
"""

from __future__ import annotations

import logging
import re
import traceback
from typing import Final

from sagatrace.error_text import text_of

__all__ = ["logger", "masked", "printable", "printable_lines"]

# A password may contain any character, even / # ? and @, and may be in place of the user name. So everything up to the
# last @ is hidden. Paths hold no secret, and may contain an @. `Path` makes one slash of two.
_LOGIN: Final = re.compile(r"(?i)\b(?!sqlite:///|unix:///)([a-z][a-z0-9+.-]{0,30}:/+)\S{0,4000}@")
_OPTION: Final = re.compile(
    r"(?i)([?&#;][^=?&#;\s]{0,99}(?:key|pass|pwd|secret|token|sig|auth|cred)[^=?&#;\s]{0,99}=)[^&;\s]*"
)
_PAIR: Final = re.compile(r"(?i)((?:account_?key|password|token|sig|secret)=)[^;&\s]*")


def masked(text: str) -> str:
    """Return the text with `***` in place of the users, passwords and keys in its addresses."""
    return _PAIR.sub(r"\1***", _OPTION.sub(r"\1***", _LOGIN.sub(r"\1***@", text)))


def printable(text: str) -> str:
    r"""Return the text as one line. Each unprintable character is escaped, such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def printable_lines(text: str) -> str:
    """Return the text with `printable` applied to each line."""
    return "\n".join(map(printable, text.split("\n")))


def logger(name: str) -> logging.Logger:
    """Return the logger of that name. It hides the secrets of addresses and escapes control characters."""
    found = logging.getLogger(name)
    found.addFilter(_make_plain)
    return found


def _make_plain(record: logging.LogRecord) -> bool:
    def plain(one: object) -> object:
        is_number = issubclass(type(one), (int, float))
        return one if is_number else printable(masked(text_of("text", lambda: str(one))))

    if isinstance(record.args, tuple):
        record.args = tuple(map(plain, record.args))
    if record.exc_info and (error := record.exc_info[1]) is not None:
        trace = text_of("traceback", lambda: "".join(traceback.format_exception(error)).rstrip("\n"))
        record.exc_text = printable_lines(masked(trace))  # a formatter takes this text before it makes its own
    return True
