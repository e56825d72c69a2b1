"""No redaction changes the verdict of a saga."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from notation import events_of, read
from saga_tables import ALL

from sagatrace.event import new_event
from sagatrace.redaction import redacted
from sagatrace_tui.model import build_trace

Hook = Callable[[str, dict[str, Any]], Any]


def raises(_: str, data: dict[str, Any]) -> Any:
    raise LookupError(data)


def mutates(_: str, data: dict[str, Any]) -> dict[str, Any]:
    data.clear()
    data["original_span_id"] = data["compensation"] = data["execution"] = data["attempt"] = "forged"
    return data


def card_numbers(_: str, data: dict[str, Any]) -> dict[str, Any]:
    return {key: re.sub(r"\d{2,16}", "####", str(value)) for key, value in data.items()}


HOOKS: dict[str, Hook] = {
    "allow-list": lambda _, data: {key: data[key] for key in data.keys() & {"amount"}},
    "mask all": lambda _, data: dict.fromkeys(data, "***"),
    "card numbers": card_numbers,
    "raises": raises,
    "returns nothing": lambda _, __: None,
    "returns a list": lambda _, data: list(data),
    "returns what JSON lacks": lambda _, data: {key: object() for key in data},
    "mutates": mutates,
    "forges": lambda _, __: {"original_span_id": "forged", "presumed": True, "error_type": "TimeoutError", "seq": 0},
    "renames": lambda _, data: {f"{key}_": value for key, value in data.items()},
}


@pytest.mark.parametrize("name", HOOKS)
def test_every_saga_keeps_its_verdict(name: str) -> None:
    wrong: list[str] = []
    for saga in ALL:
        whole = read(saga)
        events = [redacted(event, [HOOKS[name]], lambda *_, **__: None) for event in events_of(saga.text)]
        trace = build_trace(whole.trace_id, events, whole.now)
        if trace.verdict != whole.verdict:
            wrong.append(f"{saga.title}: {whole.verdict} became {trace.verdict}")
    assert wrong == []


def test_a_hook_sees_plain_values_and_no_structural_key() -> None:
    seen: list[dict[str, Any]] = []
    own = {"amount": 5, "when": {1, 2}}
    event = new_event(trace_id="T", span_id="S", event_type="x", data={**own, "original_span_id": "U", "attempt": 2})

    def look(_: str, data: dict[str, Any]) -> dict[str, Any]:
        seen.append(copy.deepcopy(data))
        data["when"].append(3)
        return data

    kept = redacted(event, [look], lambda *_, **__: None)
    assert seen == [{"amount": 5, "when": [1, 2]}]
    assert own["when"] == {1, 2}
    assert kept.data == {"amount": 5, "when": [1, 2, 3], "original_span_id": "U", "attempt": 2}


def test_a_value_of_another_type_is_not_structural() -> None:
    """The user's data may have the same key."""
    event = new_event(trace_id="T", span_id="S", event_type="x", data={"queue": ["4111 1111 1111 1111"], "seq": "4111"})
    kept = redacted(event, [HOOKS["mask all"]], lambda *_, **__: None)
    assert kept.data == {"seq": "***"}  # a text would be a queue's name
