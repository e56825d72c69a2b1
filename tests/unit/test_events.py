"""The event as it is stored: its fields, ids, timestamps and phases."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagatrace.event import new_event
from sagatrace.ids import new_id
from sagatrace.phases import split_event_type
from sagatrace.stores.codec import document_of
from sagatrace.timestamps import parse_timestamp, utc_timestamp


def event(**fields: Any) -> Any:
    return new_event(**{"trace_id": "T", "span_id": "S", "event_type": "stage:x:started", **fields})


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
