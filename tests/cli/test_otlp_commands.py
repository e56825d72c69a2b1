"""`sagatrace export --otlp` and `sagatrace import` of spans, as users run them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from otlp_documents import TRACE, jaeger, jaeger_span, otlp, otlp_span
from sagas import event, failed, succeeded
from sagatrace.event import TraceEvent
from sagatrace.stores import open_store
from sagatrace_tui import cli
from sagatrace_tui.commands import transfer


class Store:
    """A store in a file, and commands on it."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"

    def put(self, *events: TraceEvent) -> None:
        store = open_store(self.url)
        store.append(events)
        store.close()

    def run(self, command: str, *arguments: str, stdin: str | bytes = b"") -> Result:
        result = CliRunner().invoke(cli.main, [command, "--store", self.url, *arguments], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "traces.db")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other.db")


def test_traces_exported_as_otlp_come_back_with_the_same_documents_tree_and_verdict(store: Store, other: Store) -> None:
    store.put(*failed("T-bad"), *succeeded("T-good", 20))
    store.run("import", str(Path(__file__).parents[1] / "examples" / "seed_trace.jsonl"))  # times in other forms
    exported = store.run("export", "--otlp")
    assert [list(json.loads(line)) for line in exported.stdout.splitlines()] == [["resourceSpans"]] * 3
    result = other.run("import", "-", stdin=exported.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("29 new events of 3 traces")
    for trace_id in ("T-bad", "T-good", "T1"):
        assert other.run("export", trace_id).stdout == store.run("export", trace_id).stdout
        assert other.run("show", trace_id).stdout == store.run("show", trace_id).stdout
        why = [one.run("why", "--json", trace_id) for one in (store, other)]
        assert why[0].stdout == why[1].stdout
        assert why[0].exit_code == why[1].exit_code
    again = other.run("import", "-", stdin=exported.stdout)
    assert again.stdout.startswith("0 new events of 3 traces")


def test_export_prints_the_traces_that_are_named_or_all_of_them_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_PAGE", 2)
    for number in range(5):
        store.put(*succeeded(f"T{number}", number * 0.3))  # they overlap in time, so later pages name them again
    traces = [json.loads(line)["trace_id"] for line in store.run("export").stdout.splitlines()]
    assert traces == [f"T{number}" for number in (4, 3, 2, 1, 0) for _ in range(6)]
    named = store.run("export", "T3", "T1")
    assert [json.loads(line)["trace_id"] for line in named.stdout.splitlines()] == ["T3"] * 6 + ["T1"] * 6
    assert store.run("export", "T1", "T9").exit_code == 7


def test_a_document_in_many_lines_and_one_in_each_line_are_recognised(store: Store) -> None:
    spread = json.dumps(otlp(otlp_span(1), otlp_span(2, 1)), indent=2)
    assert store.run("import", "-", stdin=f"\ufeff\n{spread}\n").stdout.startswith(f"4 new events of trace {TRACE}")
    assert "2 spans · 4 events" in store.run("show", TRACE).stdout
    lines = "\n".join(json.dumps(otlp(otlp_span(number))) for number in (3, 4, 4))
    assert store.run("import", "-", stdin=lines).stdout.startswith("4 new events")
    downloaded = json.dumps(jaeger(jaeger_span(4), jaeger_span(5)), indent=4)
    assert store.run("import", "-", stdin=downloaded).stdout.startswith("2 new events")
    opened = '{"resourceSpans": [' + json.dumps(otlp(otlp_span(6)))[len('{"resourceSpans": [') :].replace(", ", ",\n")
    assert store.run("import", "-", stdin=opened).stdout.startswith("2 new events")


def test_events_and_spans_may_stand_in_one_file(store: Store) -> None:
    store.put(*succeeded("T"))
    mixed = f"{store.run('export', 'T').stdout}{json.dumps(otlp(otlp_span(1)))}\n"
    assert store.run("import", "-", stdin=mixed).stdout.startswith("2 new events of 2 traces")


def test_bad_spans_are_named_and_counted_and_the_others_are_stored(store: Store) -> None:
    hostile = otlp_span(2, traceId="\x1b[2J\u202e" + "a" * 30)
    good = otlp_span(3, name="\x1b]52;c;eA==\x07\u202egnp.exe")
    result = store.run("import", "-", stdin=json.dumps(otlp(otlp_span(1), hostile, good, 7)) + "\nnonsense\n")
    assert result.exit_code == 1
    assert result.stdout.rstrip().endswith("3 faults")
    assert result.stdout.startswith("4 new events")
    assert [line.split(": ")[1:3] for line in result.stderr.splitlines()] == [
        ["-:1", "resourceSpans[0].scopeSpans[0].spans[1]"],
        ["-:1", "resourceSpans[0].scopeSpans[0].spans[3]"],
        ["-:2", "not JSON"],
    ]
    shown = result.stderr + store.run("show", TRACE).stdout + store.run("export", "--otlp", TRACE).stdout
    assert "gnp.exe" in shown
    assert not set(shown) & set("\x1b\x07\u202e")


def test_a_broken_first_line_does_not_hide_the_others(store: Store) -> None:
    broken = '{"resourceSpans": [{"scopeSpans": ['
    result = store.run("import", "-", stdin=f"{broken}\n{json.dumps(otlp(otlp_span(1)))}\n")
    assert result.exit_code == 1
    assert result.stdout.startswith("2 new events")
    assert result.stderr.startswith("sagatrace: -:1: not JSON")


def test_a_line_too_large_to_read_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_LONGEST", 2_000)
    large = json.dumps(otlp(*map(otlp_span, range(1, 20))))
    result = store.run("import", "-", stdin=f"{large}\n{json.dumps(otlp(otlp_span(1)))}\n")
    assert (result.exit_code, result.stdout.startswith("2 new events")) == (1, True)
    assert f"-:1: a line of {len(large) + 1:,} bytes: at most 2,000 are read" in result.stderr
    result = store.run("import", "-", stdin=json.dumps(json.loads(large), indent=2))
    assert (result.exit_code, result.stdout.startswith("0 new events")) == (1, True)
    assert "more than 2,000 bytes: write one object in each line" in result.stderr


def test_an_event_without_a_place_in_its_trace_is_named(store: Store) -> None:
    early = event("T", "S", "a:started", 0)
    store.put(*succeeded("T"), type(early)(**{**_fields(early), "timestamp": "0001-01-01T00:00:00+10:00"}))
    result = store.run("export", "--otlp", "T")
    assert result.exit_code == 1
    assert result.stderr == "sagatrace: 1 event of trace T left out: not within the years 1 to 9999\n"
    assert len(result.stdout.splitlines()) == 1


def _fields(one: TraceEvent) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("id", "trace_id", "span_id", "event_type")}
