"""Sampling: all processes record the same traces. Others are recorded from a failure on, and read as partial."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from sagatrace import (
    MemoryStore,
    Settings,
    SettingsError,
    TraceContext,
    TraceEvent,
    Tracer,
    context_from_meta,
    sampling,
    trace_meta,
)
from sagatrace.outbox import Outbox
from sagatrace.rq.prepared_end import prepared_end
from sagatrace.sampling import is_sampled
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import IDLE, Trace, build_trace

SAGAS: Final = [f"order-{number}" for number in range(10_000)]
OUT: Final = next(one for one in SAGAS if not is_sampled(one, 0.1))
IN: Final = next(one for one in SAGAS if is_sampled(one, 0.1))


@pytest.fixture(autouse=True)
def share(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SAGATRACE_SAMPLE", "0.1")
    sampling._failed.clear()
    yield
    sampling._failed.clear()


def fails() -> None:
    raise ValueError("no luck")


def order(tracer: Tracer, trace_id: str, *, is_bad: bool) -> None:
    with tracer.saga("order", trace_id) as saga:
        saga.call("charge", str, undo=str)
        if is_bad:
            saga.call("ship", fails)


def read(store: MemoryStore, trace_id: str, later: int = 0) -> Trace:
    return build_trace(trace_id, store.fetch_trace(trace_id).events, now=wall_clock() + later)


def marks(events: list[TraceEvent] | tuple[TraceEvent, ...]) -> set[Any]:
    return {event.data.get("sagatrace_sample") for event in events}


def test_of_10_000_sagas_a_tenth_is_recorded_and_every_failed_one_from_its_failure_on() -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    failed = set(SAGAS[::7])
    for trace_id in SAGAS:
        try:
            order(tracer, trace_id, is_bad=trace_id in failed)
        except ValueError:
            assert trace_id in failed
    program = "import sagatrace.sampling as s, json; "
    program += "print(json.dumps([i for i in (f'order-{n}' for n in range(10_000)) if s.is_sampled(i, 0.1)]))"
    elsewhere = {**os.environ, "PYTHONHASHSEED": "7"}
    said = subprocess.run([sys.executable, "-c", program], env=elsewhere, capture_output=True, text=True, check=True)
    sampled = set(json.loads(said.stdout))
    assert 900 < len(sampled) < 1100
    for trace_id in SAGAS:
        events = store.fetch_trace(trace_id).events
        if trace_id in sampled:
            assert (len(events), marks(events)) == (8 if trace_id in failed else 4, {None})
        elif trace_id in failed:
            assert [event.event_type for event in events] == [
                "step:ship:failed", "str:compensating", "str:compensated", "workflow:order:failed",
            ]  # fmt: skip
            assert marks(events) == {0.1}
        else:
            assert not events
    assert not tracer.lost


def test_the_decision_for_a_trace_never_changes() -> None:
    """During a rolling update two versions run: both need the same hash."""
    assert [number for number in range(60) if is_sampled(f"order-{number}", 0.1)] == DECIDED
    assert is_sampled("\ud800", 0.5) == is_sampled("\\ud800", 0.5)
    assert all(is_sampled(one, 1.0) for one in SAGAS)


DECIDED: Final = [1, 14, 51, 56, 58]


@pytest.mark.parametrize("text", ["0", "-0.1", "1.01", "ten", "nan", "inf", "10%"])
def test_a_wrong_share_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=f"SAGATRACE_SAMPLE='{text}' is not a share of traces"):
        Settings.from_env({"SAGATRACE_SAMPLE": text})
    monkeypatch.setenv("SAGATRACE_SAMPLE", text)
    tracer = Tracer(MemoryStore())
    order(tracer, OUT, is_bad=False)
    assert tracer.lost == {"event lost: SettingsError": 4}


def test_the_share_is_a_setting() -> None:
    assert [Settings.from_env({"SAGATRACE_SAMPLE": text}).sample for text in ("", " 0.25 ", "1")] == [1.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("event_type", "given", "is_kept"),
    [
        ("stage:pay:failed", {}, True),
        ("stage:pay:completed", {"status": "failed"}, True),
        ("job:abandoned", {}, True),
        ("refund:compensation_failed", {}, True),
        ("refund:compensating", {}, True),
        ("refund:compensated", {}, True),
        ("job:stopped", {}, True),
        ("job:canceled", {}, True),
        ("job:enqueued", {"data": {"original_span_id": "charge"}}, True),
        ("stage:pay:completed", {}, False),
        ("job:failed", {"status": "success"}, False),
        ("job:retrying", {"data": {"error": "once"}}, False),
        ("ai:decision", {}, False),
    ],
)
def test_the_events_that_mark_a_trace_as_failed(event_type: str, given: dict[str, Any], is_kept: bool) -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    assert tracer.emit(event_type, OUT, span_id="s", **given) is not None
    tracer.emit("ai:decision", OUT, span_id="later")
    assert [event.span_id for event in store.fetch_trace(OUT).events] == (["s", "later"] if is_kept else [])


def test_the_mark_survives_redaction_and_all_tracers_of_the_process_know_the_failure() -> None:
    store = MemoryStore()
    Tracer(store, redact=lambda *_: {}).emit("stage:pay:failed", OUT, data={"card": "4111"})
    Tracer(store).emit("ai:decision", OUT, data={"score": 7})
    assert [event.data for event in store.fetch_trace(OUT).events] == [
        {"sagatrace_sample": 0.1},
        {"score": 7, "sagatrace_sample": 0.1},
    ]


def test_a_process_forgets_the_oldest_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_KEPT", 3)
    for number in range(5):
        sampling.keep(f"T{number}")
    assert list(sampling._failed) == ["T2", "T3", "T4"]


def test_a_job_of_a_failed_trace_carries_the_fact() -> None:
    assert trace_meta(OUT) == {"sagatrace": {"trace_id": OUT}}
    Tracer(MemoryStore()).emit("stage:pay:failed", OUT)
    meta = trace_meta(OUT)
    sampling._failed.clear()
    assert context_from_meta(meta) == TraceContext(OUT)
    store = MemoryStore()
    Tracer(store).emit("job:started", OUT)
    assert marks(store.fetch_trace(OUT).events) == {0.1}


def test_an_end_is_prepared_only_for_recorded_traces(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    tracer = Tracer(outbox)
    starts = {trace_id: tracer.emit("job:started", trace_id) for trace_id in (IN, OUT)}
    inside, outside = starts[IN], starts[OUT]
    assert inside is not None
    assert outside is not None
    assert prepared_end(tracer, outside, "x:end", {"job_id": "j"}) is None
    assert prepared_end(tracer, inside, "x:end", {"job_id": "j"}) is not None
    tracer.emit("stage:pay:failed", OUT)
    keep = prepared_end(tracer, outside, "x:end", {"job_id": "j"})
    assert keep is not None
    assert keep("2026-01-01T00:00:00.000000Z")
    outbox.close()
    lines = [line for file in tmp_path.rglob("*") if file.is_file() for line in file.read_bytes().splitlines()]
    (line,) = (line for line in lines if b"x:end" in line)
    assert b'"sagatrace_sample":0.1' in line


def test_without_the_setting_nothing_is_loaded() -> None:
    program = """
import sys, sagatrace
with sagatrace.Tracer(sagatrace.MemoryStore()).saga("order", "T") as saga:
    sagatrace.context_from_meta(sagatrace.trace_meta(saga))
print("sagatrace.sampling" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name != "SAGATRACE_SAMPLE"}
    for more, loaded in (({}, "False"), ({"SAGATRACE_SAMPLE": "0.5"}, "True")):
        said = subprocess.run(
            [sys.executable, "-c", program], env=environment | more, capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == loaded


def undone(tracer: Tracer) -> None:
    order(tracer, OUT, is_bad=True)


def one_step_is_not_undone(tracer: Tracer) -> None:
    with tracer.saga("order", OUT) as saga:
        with tracer.span("step:insure", saga, compensation="cancel"):
            pass
        saga.call("charge", str, undo=str)
        fails()


def none_is_undone(tracer: Tracer) -> None:
    with tracer.span("workflow:order", OUT) as saga:
        with tracer.span("step:charge", saga, compensation="refund"):
            pass
        with tracer.span("step:ship", saga):
            fails()


def an_undo_fails(tracer: Tracer) -> None:
    with tracer.saga("order", OUT) as saga:
        saga.call("charge", str, undo=fails)
        saga.call("ship", fails)


def the_saga_goes_on(tracer: Tracer) -> None:
    with tracer.span("workflow:order", OUT) as saga:
        for work in (fails, str):
            try:
                with tracer.span("step:ship", saga):
                    work()
            except ValueError:
                continue


def the_saga_succeeds_elsewhere(tracer: Tracer) -> None:
    with tracer.span("workflow:order", OUT) as saga:
        try:
            with tracer.span("step:ship", saga):
                fails()
        except ValueError:
            sampling._failed.clear()  # as in a process that does not know of the failure


def only_an_undo_is_here(tracer: Tracer) -> None:
    with tracer.compensation(original="charge", parent=TraceContext(OUT, "order"), name="refund"):
        pass


MISSING: Final = "sampled: earlier events were not recorded, so steps may stand"


@pytest.mark.parametrize(
    ("play", "at_once", "later", "summary"),
    [
        (undone, "failed", "failed", f"failed at step:ship (ValueError: no luck) · {MISSING}"),
        (one_step_is_not_undone, "failed", "failed", f"failed at workflow:order (ValueError: no luck) · {MISSING}"),
        (none_is_undone, "failed", "failed", f"failed at step:ship (ValueError: no luck) · {MISSING}"),
        (an_undo_fails, "rollback_incomplete", "rollback_incomplete", None),
        (the_saga_goes_on, "unknown", "unknown", f"unknown · {MISSING}"),
        (the_saga_succeeds_elsewhere, "running", "failed", f"failed at step:ship (ValueError: no luck) · {MISSING}"),
        (only_an_undo_is_here, "compensating", "failed", f"failed · {MISSING}"),
    ],
)
def test_a_partial_trace_is_never_reported_as_clean(
    play: Callable[[Tracer], None], at_once: str, later: str, summary: str | None
) -> None:
    store = MemoryStore()
    with suppress(ValueError):
        play(Tracer(store))
    events = store.fetch_trace(OUT).events
    assert marks(events) == {0.1}
    assert (read(store, OUT).verdict, read(store, OUT, 2 * IDLE).verdict) == (at_once, later)
    trace = read(store, OUT, 2 * IDLE)
    assert summary in (None, trace.summary)
    anomalies = {one.kind: one.detail for one in trace.anomalies}
    assert "empty_undo" not in anomalies
    assert anomalies["sampled"].startswith(f"recorded from a failure on, events before {events[0].timestamp[:10]}")


@pytest.mark.parametrize("trace_id", [IN, OUT])
def test_a_long_span_is_kept_from_its_failure_on(trace_id: str) -> None:
    store = MemoryStore()
    tracer = Tracer(store)
    tracer.resume(tracer.begin("workflow:order", trace_id)).fail("the customer withdrew")
    assert len(store.fetch_trace(trace_id).events) == (2 if trace_id == IN else 1)
    assert read(store, trace_id).verdict == "failed"
