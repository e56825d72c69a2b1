"""The text and the schema of `sagatrace why`."""

from __future__ import annotations

import json

from click.testing import CliRunner

from sagas import event, trace_of
from sagatrace.event import TraceEvent
from sagatrace_tui.commands.why import why
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert


def chain_of(depth: int) -> list[TraceEvent]:
    return [
        event("t", f"s{n}", f"stage:s{n}:failed", (depth - n) / 1000, f"s{n - 1}" if n else None, data={"error": "no"})
        for n in range(depth)
    ]


def test_a_very_long_failure_path_is_cut_in_the_middle_and_marked() -> None:
    text = incident_summary(trace_of(chain_of(20_000)), inert)
    [path] = [line for line in text.splitlines() if line.startswith("- path: ")]
    assert path.startswith("- path: `stage:s0` → `stage:s1` → ")
    assert " → … 19990 more … → `stage:s19995` → " in path
    assert path.endswith(" → `stage:s19999`")
    assert len(text) < 20_000


def test_a_short_failure_path_is_whole() -> None:
    assert "more …" not in incident_summary(trace_of(chain_of(11)), inert)


def test_an_error_without_a_text_shows_its_type() -> None:
    events = [event("t", "job", "job:failed", 1.0, data={"error": "", "error_type": "RuntimeError"})]
    assert "- error: RuntimeError" in incident_summary(trace_of(events), inert).splitlines()


def test_why_prints_its_schema_without_a_trace_or_a_store() -> None:
    done = CliRunner().invoke(why, ["--schema"])
    assert done.exit_code == 0
    schema = json.loads(done.output)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"verdict", "still_standing", "anomalies"} <= set(schema["properties"])
