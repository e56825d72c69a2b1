"""The command `sagatrace why`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from notation import INCIDENT, LATER, event, events_of

from sagatrace.context import TraceContext
from sagatrace.stores import open_store
from sagatrace.tracer import Tracer
from sagatrace_tui.commands.why import EXIT_STATUSES, why
from sagatrace_tui.incident.report import report
from sagatrace_tui.incident.summary import incident_summary
from sagatrace_tui.labels import inert
from sagatrace_tui.model import build_trace


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'traces.db'}"


def run_why(store_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(why, [*arguments, "--store", store_url])


def test_why_prints_the_model_s_answers_as_text_and_as_json(store_url: str) -> None:
    store = open_store(store_url)
    store.append(events_of(INCIDENT))
    store.close()
    text, as_json = run_why(store_url, "T"), run_why(store_url, "T", "--json")
    assert (text.exit_code, as_json.exit_code) == (5, 5)
    trace = build_trace("T", events_of(INCIDENT), now=LATER)
    assert text.output == incident_summary(trace, inert)
    assert json.loads(as_json.output) == report(trace)
    assert as_json.output.isascii()


def test_every_verdict_has_an_exit_status(store_url: str) -> None:
    tracer = Tracer(store_url)
    with tracer.span("workflow:fine", TraceContext("fine")):
        pass
    tracer.emit("workflow:slow:started", TraceContext("slow"))
    with pytest.raises(ValueError, match="no"), tracer.span("workflow:bad", TraceContext("bad")):
        raise ValueError("no")
    with tracer.span("workflow:green", TraceContext("green")) as green, tracer.compensation(original="x", parent=green):
        pass
    tracer.close()
    statuses = {name: run_why(store_url, name).exit_code for name in ("fine", "slow", "bad", "green", "none")}
    assert statuses == {"fine": 0, "slow": 3, "bad": 4, "green": 5, "none": 7}
    assert sorted(set(EXIT_STATUSES.values())) == [0, 3, 4, 5, 6]


def test_an_error_of_why_is_one_line(store_url: str, tmp_path: Path) -> None:
    missing = run_why(store_url, "T")
    assert missing.exit_code == 1
    assert "no store at" in missing.output
    assert run_why(store_url).exit_code == 2
    assert not (tmp_path / "traces.db").exists(), "asking never creates a store"


def test_a_malformed_document_is_an_anomaly_of_the_answer(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    store.append([event(0, "A", "stage:a:completed")])
    store.close()
    connection = sqlite3.connect(tmp_path / "traces.db")
    row = ("T", "bad", 0, b'{"id":"bad","trace_id":"T"}')
    connection.execute("INSERT INTO event (trace_id, id, at, document) VALUES (?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    done = run_why(store_url, "T", "--json")
    assert done.exit_code == 0
    (anomaly,) = json.loads(done.output)["anomalies"]
    assert anomaly["kind"] == "malformed"
    assert anomaly["detail"].startswith("document bad: ")
