"""Events that are too large for one Cosmos DB item: their largest values cut, and said to be cut."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["ITEM_BYTES", "encoded_size", "fitted"]

ITEM_BYTES: Final = 2_000_000
"""Bytes of UTF-8 JSON one item may have here: the service's 2 MiB less room for the properties it adds."""

_KEPT: Final = 16_000  # bytes kept of a value that is cut
_CUT_KEY: Final = "[cut]"


def encoded_size(value: Any) -> int:
    """Bytes of the value as UTF-8 JSON."""
    return len(msgspec.json.encode(value))


def fitted(document: dict[str, Any], limit: int = ITEM_BYTES) -> dict[str, Any] | None:
    """The document, its largest `data` values cut so that it has at most `limit` bytes; None when that is not enough.

    A cut value becomes text: its beginning and `… [cut, N bytes]` with its original size. Values too many to be
    cut one by one are left out, smallest last, and `data["[cut]"]` says how many there were.
    """
    size = encoded_size(document)
    if size <= limit:
        return document
    data = document.get("data")
    if not isinstance(data, dict) or size - encoded_size(data) > limit // 2:
        return None
    sizes = {key: encoded_size(value) for key, value in data.items()}
    kept = dict(data)
    room = limit - 200  # for what `[cut]` says
    for key in sorted(sizes, key=lambda key: sizes[key], reverse=True):
        if size <= room:
            break
        cut = _cut(data[key], sizes[key]) if sizes[key] > 2 * _KEPT else None
        if cut is None:
            return _thinned(document, kept, room, encoded_size(data))
        kept[key] = cut
        size -= sizes[key] - encoded_size(cut)
    if size > room:
        return _thinned(document, kept, room, encoded_size(data))
    return {**document, "data": kept}


def _cut(value: Any, size: int) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"{text.encode()[:_KEPT].decode('utf-8', 'ignore')}… [cut, {size} bytes]"


def _thinned(document: dict[str, Any], data: dict[str, Any], room: int, original: int) -> dict[str, Any] | None:
    """As many values as fit, smallest first, in the order they had."""
    bare = {name: value for name, value in document.items() if name != "data"}
    left = room - encoded_size(bare) - len('"data":{},')
    chosen = set()
    for key in sorted(data, key=lambda key: encoded_size({key: data[key]})):
        left -= encoded_size({key: data[key]})
        if left < 0:
            break
        chosen.add(key)
    if not chosen:
        return None
    dropped = len(data) - len(chosen)
    kept = {key: value for key, value in data.items() if key in chosen}
    kept[_CUT_KEY] = f"{dropped} of {len(data)} values left out, {original} bytes in all"
    return {**bare, "data": kept}
