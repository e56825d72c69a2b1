"""Small traces as JSON Lines, each with its required answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from notation import LATER

from sagatrace.stores.codec import parse_event
from sagatrace_tui.model import build_trace

TRACES = Path(__file__).parent / "verdicts"
EXPECTED: dict[str, dict[str, Any]] = json.loads((TRACES / "expected.json").read_text())


def test_each_trace_has_its_answers() -> None:
    assert {path.stem for path in TRACES.glob("*.jsonl")} == EXPECTED.keys()
    assert len(EXPECTED) == 19


@pytest.mark.parametrize("name", EXPECTED)
def test_the_answers_of_a_trace(name: str) -> None:
    """Null anomalies are not compared, and neither are the roles of spans that are not listed."""
    expected = EXPECTED[name]
    events = [parse_event(line) for line in (TRACES / f"{name}.jsonl").read_bytes().splitlines()]
    trace = build_trace(name, events, now=LATER)
    anomalies = sorted({one.kind for one in trace.anomalies})
    assert {
        "verdict": trace.verdict,
        "cause": trace.cause and trace.cause.span_id,
        "still_standing": sorted(one.span_id for one in trace.still_standing),
        "roles": {one: role for one, role in trace.roles.items() if one in expected["roles"]},
        "anomalies": None if expected["anomalies"] is None else anomalies,
    } == expected
