"""Shorten events that are too large for one Cosmos DB item. Cut values are marked as cut."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["ITEM_BYTES", "encoded_size", "fitted"]

ITEM_BYTES: Final = 2_000_000
"""Maximum bytes of UTF-8 JSON per item: 2 MiB of the service, minus room for the properties that it adds."""

_KEPT: Final = 16_000  # bytes kept of a value that is cut
_CUT_KEY: Final = "[cut]"


def encoded_size(value: Any) -> int:
    """Return the size of the value in bytes of UTF-8 JSON."""
    return len(msgspec.json.encode(value))


def fitted(document: dict[str, Any], limit: int = ITEM_BYTES) -> dict[str, Any] | None:
    """Return the document with its largest `data` values cut to fit `limit` bytes; None if that is impossible.

    A cut value becomes text: its beginning and `… [cut, N bytes]` with its original size. If cutting values does not
    suffice, the largest values are left out, and `data["[cut]"]` records their number.
    """
    size = encoded_size(document)
    if size <= limit:
        return document
    data = document.get("data")
    if not isinstance(data, dict) or size - encoded_size(data) > limit // 2:
        return None
    sizes = {key: encoded_size(value) for key, value in data.items()}
    kept = dict(data)
    room = limit - 200  # for the text of `[cut]`
    for key in sorted(sizes, key=lambda key: sizes[key], reverse=True):
        if size <= room or sizes[key] <= 2 * _KEPT:
            break
        kept[key] = _cut(data[key], sizes[key])
        size -= sizes[key] - encoded_size(kept[key])
    return {**document, "data": kept} if size <= room else _thinned(document, kept, room)


def _cut(value: Any, size: int) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"{text.encode()[:_KEPT].decode('utf-8', 'ignore')}… [cut, {size} bytes]"


def _thinned(document: dict[str, Any], data: dict[str, Any], room: int) -> dict[str, Any] | None:
    """Return the document with the smallest values that fit, in their original order; None if none fits."""
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
    dropped, original = len(data) - len(chosen), encoded_size(document["data"])
    kept = {key: value for key, value in data.items() if key in chosen}
    kept[_CUT_KEY] = f"{dropped} of {len(data)} values left out, {original} bytes in all"
    return {**bare, "data": kept}
