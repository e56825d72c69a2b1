"""The URL of a store: the default, and the path in that of a SQLite store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import platformdirs

from sagatrace.errors import StoreUrlError
from sagatrace.shown import masked

__all__ = ["default_store_url", "path_from_url"]


def default_store_url() -> str:
    """Return the URL of the embedded store in the user's data directory, by the platform's conventions."""
    return f"sqlite:///{platformdirs.user_data_path('sagatrace', appauthor=False) / 'traces.db'}"


def path_from_url(url: str) -> Path:
    """Return the absolute path of a `sqlite:` URL. `sqlite:///a.db` is relative, `sqlite:////tmp/a.db` absolute.

    SQLAlchemy reads such URLs in the same way. `~` is the user's home. Raises StoreUrlError.
    """
    parts = urlsplit(url)
    text = unquote(parts.path)
    if parts.netloc or not text.startswith("/") or text == "/" or parts.query:
        raise StoreUrlError(f"store URL {masked(url)!r} names no file: write sqlite:///PATH, e.g. sqlite:///traces.db")
    try:
        return Path(text[1:]).expanduser().absolute()
    except RuntimeError as error:
        raise StoreUrlError(f"store URL {masked(url)!r}: {error}") from error
