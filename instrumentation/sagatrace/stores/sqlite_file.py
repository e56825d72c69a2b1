"""The file of a SQLite store: its path in a URL, its kind, and whether it was replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sagatrace.errors import StoreUrlError
from sagatrace.shown import masked

__all__ = ["identity_of", "is_special", "path_from_url"]


def path_from_url(url: str) -> Path:
    """Return the absolute path of a `sqlite:` URL. `sqlite:///a.db` is relative, `sqlite:////tmp/a.db` absolute.

    SQLAlchemy reads such URLs in the same way. `~` is the user's home directory. Raises StoreUrlError.
    """
    parts = urlsplit(url)
    text = unquote(parts.path)
    if parts.netloc or not text.startswith("/") or text == "/" or parts.query:
        raise StoreUrlError(f"store URL {masked(url)!r} names no file: write sqlite:///PATH, e.g. sqlite:///traces.db")
    try:
        return Path(text[1:]).expanduser().absolute()
    except RuntimeError as error:
        raise StoreUrlError(f"store URL {masked(url)!r}: {error}") from error


def is_special(path: Path) -> bool:
    """Return whether there is a pipe, a socket or a device at the path, or a link to one."""
    try:
        mode = path.stat().st_mode
    except OSError:  # opening the file raises a better error
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def identity_of(path: str) -> str:
    """Return device and inode of the current file at the path; empty without a file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - every call does this, and Path.stat is twice as slow
    except OSError:
        return ""
    return f"{status.st_dev}-{status.st_ino}"
