"""The event: accepted and refused values, ids and timestamps."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.ids import new_id
from sagatrace.phases import split_event_type
from sagatrace.shipper.segment import read_line
from sagatrace.stores.codec import decode_documents, decode_event, document_of, parse_event
from sagatrace.timestamps import parse_timestamp, utc_timestamp

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


def test_the_document_has_the_contract_s_fields_and_no_more() -> None:
    made = event(data={"loan_id": "L1"}, tags=["ai"], parent_span_id="P", status="failed")
    assert document_of(made) == {
        "id": made.id,
        "trace_id": "T",
        "span_id": "S",
        "parent_span_id": "P",
        "event_type": "stage:x:started",
        "timestamp": made.timestamp,
        "status": "failed",
        "data": {"loan_id": "L1"},
        "tags": ["ai"],
    }
    assert document_of(event()).keys() == {"id", "trace_id", "span_id", "event_type", "timestamp"}


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


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object but list"),
        ("\xff", "not JSON"),
        ('{"trace_id":"T"}', "span_id"),
        (
            '{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z","x":1}',
            "unknown field 'x'",
        ),
        ('{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z","data":[1]}', "data"),
        ('{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z","data":"x"}', "data"),
        ('{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-13-01T00:00:00Z"}', "2025-13-01"),
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "recursion"),
    ],
)
def test_a_document_from_outside_is_refused_with_its_fault(document: str, fault: str) -> None:
    with pytest.raises(EventError, match=fault):
        parse_event(document.encode("latin-1"))


def test_a_document_without_id_gets_the_same_id_for_any_order_of_its_fields() -> None:
    one = parse_event('{"trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z"}')
    two = parse_event('{"timestamp":"2025-01-01T00:00:00Z","event_type":"x","span_id":"S","trace_id":"T","_ts":5}')
    other = parse_event('{"trace_id":"T","span_id":"S2","event_type":"x","timestamp":"2025-01-01T00:00:00Z"}')
    assert one == two
    assert other.id != one.id


def test_a_stored_document_with_a_newer_version_s_fields_can_be_read() -> None:
    document = b'{"id":"1","trace_id":"T","span_id":"S","event_type":"x","timestamp":"2025-01-01T00:00:00Z","new":1}'
    assert decode_event(document).id == "1"


@pytest.mark.parametrize("place", ["S", "stage:x", '"kept"'])
def test_bytes_that_are_not_text_are_not_an_event(place: str) -> None:
    """At any place, also in data that is decoded late."""
    document = encode_event(event(data={"x": "kept"}))
    broken = document.replace(place.encode(), place.encode()[:-1] + b"\xff" + place.encode()[-1:])
    assert broken != document
    for read in (decode_event, parse_event, read_line):
        with pytest.raises(EventError, match=r"(?i)utf-8"):
            read(b'{"event":' + broken + b"}" if read is read_line else broken)
    events, (malformed,) = decode_documents([("1", broken)])
    assert not events
    assert "utf-8" in malformed.fault.lower()
    assert decode_event(document.replace(b"kept", "é".encode())).data == {"x": "é"}


@pytest.mark.parametrize("sign", ["T", " ", ".", ",", "1", "é"])
@pytest.mark.parametrize(
    "clock", ["10:00", "10:00:00", "10:00:00.5", "100000,25", "10:00:00.123456789Z", "10:00:00.5+01:00"]
)
def test_a_timestamp_is_read_the_same_alone_and_among_others(sign: str, clock: str) -> None:
    """With any character between day and time: an accepted timestamp must not fail later."""
    document = msgspec.json.encode(
        {**msgspec.json.decode(encode_event(event())), "timestamp": f"2025-12-22{sign}{clock}"}
    )
    events, malformed = decode_documents([("1", document)])
    if malformed:
        with pytest.raises(EventError):
            decode_event(document)
    else:
        assert [one.micros for one in events] == [decode_event(document).micros]


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2025-12-22T10:00:01.100000Z", "2025-12-22T10:00:01.1Z"),
        ("2025-12-22T10:00:01.100Z", "2025-12-22T10:00:01.1+00:00"),
        ("2025-12-22T12:00:01,1+02:00", "2025-12-22T10:00:01.100Z"),
        ("2025-12-22T10:00:01.123456789Z", "2025-12-22T10:00:01.123456Z"),
        ("2025-12-22 10:00:01", "2025-12-22T10:00:01Z"),
        ("20251222T100001Z", "2025-12-22T10:00:01.000000Z"),
    ],
)
def test_timestamps_of_any_offset_and_precision_are_the_same_moment(text: str, same_as: str) -> None:
    assert parse_timestamp(text) == parse_timestamp(same_as)


@given(
    st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11)), timezone(timedelta(minutes=345))]),
        min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
        max_value=datetime(9998, 1, 1),  # noqa: DTZ001
    )
)
def test_written_timestamps_are_fixed_width_and_sort_as_text(moment: datetime) -> None:
    text = utc_timestamp(moment)
    assert len(text) == 27
    assert parse_timestamp(text) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (text < utc_timestamp(moment + timedelta(microseconds=1))) is True


@pytest.mark.parametrize(
    ("event_type", "parts"),
    [
        ("stage:validate:completed", ("stage:validate", "completed")),
        ("job:started", ("job", "started")),
        ("ai:decision", ("ai:decision", None)),
        ("started", ("started", "started")),
        ("saga:compensation_failed", ("saga", "compensation_failed")),
        ("odd:", ("odd:", None)),
    ],
)
def test_event_types_are_a_name_and_a_phase(event_type: str, parts: tuple[str, str | None]) -> None:
    assert split_event_type(event_type) == parts


def test_ids_are_sorted_by_time_and_unique() -> None:
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    # The clock ticks 4096 times a millisecond in an id: neighbours may share a tick, never swap by more.
    assert [text[:18] for text in ids] == sorted(text[:18] for text in ids)
    assert all(text[14] == "7" and text[19] in "89ab" for text in ids)


_FORKS = """
import os
from sagatrace.ids import new_id
new_id()
children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        os.write(1, "".join(new_id() + "\\n" for _ in range(50)).encode())
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


def test_children_forked_from_one_process_do_not_repeat_each_other_s_ids() -> None:
    """In a separate process without other threads, which a fork could freeze."""
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, check=True, timeout=300)
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 400


def _among_others(document: bytes) -> TraceEvent:
    return decode_documents([("E0", document.replace(b"E1", b"E0")), ("E1", document)])[0][1]


@pytest.mark.parametrize("decode", [decode_event, _among_others])
def test_an_event_does_not_keep_its_document_in_memory(decode: Callable[[bytes], TraceEvent]) -> None:
    document = (
        b'{"id":"E1","trace_id":"t","span_id":"s","event_type":"x","timestamp":"2025-12-22T10:00:00Z","data":{"k":1}}'
    )
    before = sys.getrefcount(document)
    kept = decode(document)
    assert sys.getrefcount(document) == before
    assert kept.data == {"k": 1}


def test_events_share_equal_ids_and_keep_no_data_of_another_trace() -> None:
    names = ["T"] * 30 + ["U"] * 150 + ["T", "U"] * 60
    made = [event(id=str(n), trace_id=name, data={"x": "y" * 2000}) for n, name in enumerate(names)]
    documents = [(one.id, encode_event(one)) for one in made]
    tracemalloc.start()
    try:
        events, _ = decode_documents(documents)
        whole = tracemalloc.get_traced_memory()[0]
        assert events == made
        assert len({id(one.trace_id) for one in events}) == 2
        assert len({id(one.span_id) for one in events}) == 1
        events = [one for one in events if one.trace_id == "T"]
        assert tracemalloc.get_traced_memory()[0] / whole < 1.1 * names.count("T") / len(names)
    finally:
        tracemalloc.stop()
