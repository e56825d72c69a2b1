"""Stored documents as events, and documents that are not events."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sagatrace.errors import EventError
from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.shipper.segment import read_line
from sagatrace.stores.codec import Decoded, decode_documents, decode_event, parse_event


def event(**fields: Any) -> Any:
    return new_event(**{"trace_id": "T", "span_id": "S", "event_type": "stage:x:started", **fields})


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


@pytest.mark.parametrize("fault", [b"", b'{"id":"x"}', b"{}"])
def test_documents_of_many_blocks_are_decoded_once_each_or_not_at_all(fault: bytes) -> None:
    made = [event(id=str(n), data={"x": "}\n{" + "y" * 2000}) for n in range(300)]
    documents = [*map(encode_event, made), *([fault] if fault else [])]
    decoded = Decoded()
    assert decoded.add_joined(b"\n".join(documents), len(documents)) is not bool(fault)
    assert decoded.events == ([] if fault else made)


def test_a_document_of_any_depth_is_an_event_or_malformed() -> None:
    """In Python 3.11 the limit of nesting depends on the calls: the copy of the data may reach it first."""
    for depth in (*range(900, 1000), 100_000):
        document = encode_event(event(data={"x": 0})).replace(b"0}}", b"[" * depth + b"]" * depth + b"}}")
        events, malformed = decode_documents([("1", document)])
        assert len(events) + len(malformed) == 1
