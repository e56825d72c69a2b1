"""Values and fields of any kind become an event that can be stored, or are refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace.errors import EventError
from sagatrace.event import encode_event, new_event
from sagatrace.stores.codec import decode_event, parse_event

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def event(**fields: Any) -> Any:
    return new_event(**{"trace_id": "T", "span_id": "S", "event_type": "stage:x:started", **fields})


@given(data=st.dictionaries(st.text(), json_values, max_size=5), tags=st.lists(st.text(), max_size=3))
def test_an_event_is_unchanged_after_encoding_and_decoding(data: dict[str, Any], tags: list[str]) -> None:
    """Any JSON value survives being stored and read, and stored again."""
    made = event(data=data, tags=tags, parent_span_id="P", status="pending")
    read = decode_event(encode_event(made))
    assert read == made
    assert parse_event(encode_event(made)) == made
    assert read.data == data
    assert read.tags == (tuple(tags) or None)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Half:
    def __repr__(self) -> str:
        return "\ud800"


@dataclass
class Holder:
    held: object


class Word(str):
    """A subclass of str."""

    __slots__ = ()


class Success(StrEnum):
    SUCCESS = "success"


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def within_itself() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


odd_text = st.text(st.characters(categories=None), max_size=300) | st.just("\ud800" * 50) | st.just(Word("é"))
odd_values = st.recursive(
    json_values
    | odd_text
    | st.integers()
    | st.floats()
    | st.binary(max_size=20)
    | st.decimals()
    | st.datetimes()
    | st.builds(Unprintable)
    | st.builds(Half)
    | st.builds(within_itself)
    | st.builds(iter, st.just((1, 2)))
    | st.builds(pow, st.just(10), st.integers(300, 5000))
    | st.builds(nested, st.just(2000))
    | st.sampled_from([Success.SUCCESS, type, 1j, -(2**70), range(3), Holder("\ud800")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(odd_text | st.integers() | st.none() | st.tuples(odd_text), inner, max_size=3)
        | st.builds(Holder, inner)
    ),
    max_leaves=6,
)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "id": odd_values,
            "trace_id": odd_values,
            "span_id": odd_values,
            "parent_span_id": odd_values,
            "event_type": odd_values,
            "status": odd_values | st.sampled_from(["failed", Word("failed"), Success.SUCCESS]),
            "timestamp": odd_values | st.just("2025-01-01\ud80010:00:00"),
            "data": odd_values,
            "tags": odd_values | st.lists(odd_text | st.none(), max_size=3),
        },
    )
)
def test_every_event_that_is_made_can_be_read(fields: dict[str, Any]) -> None:
    """Any input is refused by an EventError, or the event is equal after it is read from its line of JSON."""
    try:
        made = event(**fields)
    except EventError:
        return
    line = encode_event(made)
    assert b"\n" not in line
    read = decode_event(line)
    assert read == made
    assert isinstance(read.data, dict)
    assert read.micros == made.micros
    assert parse_event(line).id == made.id


@given(data=st.dictionaries(odd_text | st.integers() | st.none() | st.tuples(odd_text), odd_values, max_size=3))
def test_no_value_in_data_refuses_an_event(data: dict[Any, Any]) -> None:
    """Only the value that cannot be written is replaced."""
    assert len(decode_event(encode_event(event(data={**data, "kept": "as it is"}))).data) > 0
    assert event(data={**data, "kept": "as it is"}).data["kept"] == "as it is"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (datetime(2025, 1, 2, tzinfo=UTC), "2025-01-02T00:00:00Z"),
        ({1, 2}, [1, 2]),
        (object, "type: <class 'object'>"),
        (Unprintable(), "Unprintable: <repr failed: RuntimeError>"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        ({(1, 2): "x"}, {"tuple: (1, 2)": "x"}),
        (float("nan"), None),
        (2**200, 2**200),
        pytest.param(10**5000, "int: <repr failed: ValueError>", id="vast"),
        (within_itself(), "list: [[...]]"),
        pytest.param(10**400, 10**400, id="long"),
        pytest.param(nested(100_000), "list: <repr failed: RecursionError>", id="deep"),
        (Holder("\ud800"), "Holder: Holder(held='\\ud800')"),
    ],
)
def test_values_that_json_lacks_are_described_rather_than_refused(value: object, kept: object) -> None:
    assert event(data={"value": value}).data == {"value": kept}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        b"{oops",
        b"",
        b"1,2",
        b"1\n2",
        b'"\xff"',
        b'1},"trace_id":"other","z":{"a":1',
        b'1}},"id":"other","z":{"a":{"b":1',
        b'1,"kept":2',
        b'1}, "z":{"c":1',
    ],
)
def test_json_of_a_user_s_own_cannot_break_out_of_the_data(text: bytes, nested: bool) -> None:
    raw = msgspec.Raw(text)
    made = new_event(trace_id="T", span_id="S", event_type="x", data={"kept": 1, "a": {"b": raw} if nested else raw})
    read = decode_event(encode_event(made))
    assert (read.id, read.trace_id) == (made.id, "T")
    assert read.data["kept"] == 1
    assert set(read.data) == {"a", "kept"}


def test_json_of_a_user_s_own_is_kept_on_one_line() -> None:
    raw = msgspec.Raw(b'{\n  "a": [1,\n 2.50],\n "b": "\\n"}')
    made = new_event(trace_id="T", span_id="S", event_type="x", data={"body": raw})
    assert b"\n" not in encode_event(made)
    assert decode_event(encode_event(made)).data == {"body": {"a": [1, 2.5], "b": "\n"}}
    shown = new_event(trace_id="T", span_id="S", event_type="x", data={"body": msgspec.Raw(b"{oops")})
    assert shown.data == {"body": "Raw: b'{oops'"}


@pytest.mark.parametrize("status", [Word("failed"), Success.SUCCESS])
def test_a_status_of_a_text_subclass_is_accepted_as_text(status: Any) -> None:
    assert decode_event(encode_event(event(status=status))).status == str(status)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"trace_id": ""}, "trace_id"),
        ({"trace_id": "x" * 256}, "trace_id"),
        ({"span_id": ""}, "span_id"),
        ({"event_type": ""}, "event_type"),
        ({"status": "ok"}, "status"),
        ({"timestamp": "yesterday"}, "yesterday"),
        ({"id": "a/b"}, "a/b"),
        ({"trace_id": 7}, "trace_id"),
        ({"trace_id": "\ud800" * 43}, "trace_id"),
        ({"id": 7}, "id 7"),
        ({"id": "\ud800"}, "id .* Cosmos DB cannot address"),
        ({"id": "order-7 "}, "id 'order-7 '"),
        ({"id": "order\t7"}, "id .*control"),
        ({"id": "order-7\n"}, "id .*control"),
        ({"timestamp": 7}, "timestamp 7"),
        ({"timestamp": "2025-01-01\ud80010:00:00"}, "not ISO 8601"),
        ({"tags": [None]}, r"tags \(None,\)"),
        ({"tags": 7}, "tags"),
    ],
)
def test_a_wrong_field_is_refused_by_name(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(EventError, match=fault):
        event(**fields)
