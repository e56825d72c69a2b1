"""Coerce the fields and the data of an event to values that every store keeps.

Most events need no coercion. `sagatrace.event` imports this module only for the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sagatrace.errors import EventError
from sagatrace.event import UNWRITABLE, TraceEvent
from sagatrace.interruptions import Tolerated, must_pass

__all__ = ["coerced_data", "coerced_fields", "require_storable_id"]

_STORABLE: Final = re.compile(r"[^/\\?#\x00-\x1f\x7f-\x9f]*[^/\\?#\x00-\x20\x7f-\x9f]")

_encode: Final = msgspec.json.Encoder(enc_hook=lambda value: _described(value)).encode
_decode: Final = msgspec.json.Decoder(TraceEvent).decode


def coerced_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as a reader decodes them. Raises EventError that names the invalid field."""
    try:
        tags = fields["tags"]
        listed = {**fields, "tags": [tags] if isinstance(tags, str) else list(tags or ()) or None}
        event = _decode(msgspec.json.encode({name: _plain(value) for name, value in listed.items()}))
    except UNWRITABLE as error:
        reason, _, path = str(error).partition(" - at `$.")
        name = path.partition("`")[0].partition("[")[0]
        raise EventError(f"{name or 'event'} {_shown(fields.get(name, fields)):.300}: {reason}") from error
    require_storable_id(event.id)
    return {name: getattr(event, name) for name in fields}


def require_storable_id(event_id: str) -> None:
    """Raise EventError for an id that Cosmos DB cannot address. Such an event would block the delivery of others."""
    if not _STORABLE.fullmatch(event_id):
        raise EventError(
            f"id {event_id!r} holds one of / \\ ? #, a control character or a space at its end: "
            "Cosmos DB cannot address such an item id"
        )


def coerced_data(data: Mapping[Any, Any]) -> msgspec.Raw:
    """Return the data as JSON on one line. A value that JSON cannot express becomes its description."""
    named = {_plain(key if isinstance(key, str) else _shown(key)): value for key, value in data.items()}
    return msgspec.Raw(msgspec.json.encode({name: _written(value) for name, value in named.items()}))


def _written(value: object) -> msgspec.Raw:
    """Return the value as JSON on one line. If JSON cannot express it, return its description."""
    with Tolerated(*UNWRITABLE):
        encoded = _encode(_plain(value))
        msgspec.json.decode(encoded)
        return msgspec.Raw(msgspec.json.format(encoded, indent=-1) if b"\n" in encoded else encoded)
    return msgspec.Raw(msgspec.json.encode(_described(value)))


def _plain(value: object) -> object:
    """Return the value. In text, and in text within lists, write each lone surrogate as six ASCII characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _described(value: object) -> object:
    return _plain(f"{type(value).__qualname__}: {_shown(value)}")


def _shown(value: object) -> str:
    """Return the beginning of the value's `repr`. The `repr` is foreign code and may raise any exception."""
    try:
        return repr(bytes(value) if isinstance(value, msgspec.Raw) else value)[:1000]
    except (Exception, SystemExit) as error:
        if must_pass(error):
            raise
        return f"<repr failed: {type(error).__name__}>"
