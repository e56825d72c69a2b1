"""`sagatrace tail` as a separate process: its output, its end and its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagas import failed, succeeded
from sagatrace.event import TraceEvent, new_event
from sagatrace.mirror import Mirror, Publisher
from sagatrace.stores import EventStore, open_store
from sagatrace.stores.codec import document_of
from sagatrace.timestamps import utc_timestamp
from servers import running_redis, until


class Tail:
    """A running `sagatrace tail`; its lines as they come."""

    def __init__(self, store: EventStore, *arguments: str, mirror: str = "") -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SAGATRACE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from sagatrace_tui.cli import main; main()", "tail", *arguments],
            env={**environment, "SAGATRACE_STORE": store.label, "SAGATRACE_MIRROR": mirror, "PYTHONUTF8": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.notes: list[str] = []
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, ""))),  # type: ignore[union-attr, arg-type]
            threading.Thread(target=lambda: self.notes.extend(iter(self.process.stderr.readline, ""))),  # type: ignore[union-attr, arg-type]
        ]
        for reader in self._readers:
            reader.start()

    def until(self, text: str, timeout: float = 120) -> None:
        until(lambda: any(text in line for line in (*self.lines, *self.notes)), f"{text!r} in the output", timeout)

    def ends(self) -> int:
        status = self.process.wait(120)
        for reader in self._readers:
            reader.join(120)
        return status


@contextmanager
def tailing(store: EventStore, *arguments: str, mirror: str = "") -> Iterator[Tail]:
    tail = Tail(store, *arguments, mirror=mirror)
    try:
        yield tail
    finally:
        tail.process.kill()
        tail.ends()
        for stream in (tail.process.stdout, tail.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_store(f"sqlite:///{tmp_path}/traces.db")
    opened.append([])
    yield opened
    opened.close()


def now(trace_id: str, event_type: str, **rest: str) -> TraceEvent:
    return new_event(trace_id=trace_id, span_id="wf", event_type=event_type, **rest)  # type: ignore[arg-type]


def test_an_ended_trace_is_printed_immediately_with_the_status_of_why(store: EventStore) -> None:
    store.append(failed("T7"))
    with tailing(store, "T7") as tail:
        assert tail.ends() == 5
        assert len(tail.lines) == 17
        assert tail.lines[11].startswith("10:00:03.400 ✘ transfer_funds failed · InsufficientFunds: balance 1200")
        assert "⚠ rollback incomplete · failed at transfer_funds" in tail.lines[-1]
    store.append(succeeded("T8"))
    with tailing(store, "T8", "--json") as tail:
        assert tail.ends() == 0
        assert [json.loads(line)["id"] for line in tail.lines] == [one.id for one in succeeded("T8")]


def test_a_running_trace_is_followed_until_its_end_with_each_verdict(store: EventStore) -> None:
    store.append([now("T", "workflow:x:started")])
    with tailing(store, "T") as tail:
        tail.until("▶ running")
        store.append([now("T", "workflow:x:retrying")])
        tail.until("retrying")
        store.append([now("T", "workflow:x:completed")])
        tail.until("✔ succeeded")
        assert tail.ends() == 0


def test_a_trace_of_a_host_whose_clock_is_ahead_ends_as_soon(store: EventStore) -> None:
    """The time of its last event may be an hour from now. The command does not wait for that hour."""
    ahead = utc_timestamp(datetime.now(UTC) + timedelta(hours=1))
    store.append([now("T", "workflow:x:started", timestamp=ahead), now("T", "workflow:x:completed", timestamp=ahead)])
    with tailing(store, "T") as tail:
        assert tail.ends() == 0
        assert "✔ succeeded" in tail.lines[-1]


def test_an_id_that_cannot_be_encoded_is_searched_as_it_would_be_stored(store: EventStore) -> None:
    with tailing(store, "caf\udce9") as tail:
        assert tail.ends() == 7
        assert "no trace" in tail.notes[-1]
    store.append([now("caf\udce9", "workflow:x:started"), now("caf\udce9", "workflow:x:completed")])
    with tailing(store, "caf\udce9") as tail:
        assert tail.ends() == 0


def test_a_job_that_began_before_it_was_followed_has_its_name(store: EventStore) -> None:
    named, failed = {"job_name": "charge_card"}, {"error": "declined"}
    store.append([new_event(trace_id="T", span_id="J", event_type="job:started", data=named)])
    with tailing(store) as tail:
        tail.until("polling every 1")
        store.append([new_event(trace_id="T", span_id="J", event_type="job:failed", data=failed)])
        tail.until(" ✘ T charge_card failed · declined")


def test_a_query_filters_the_lines(store: EventStore) -> None:
    def stage(name: str, queue: str, phase: str = "failed") -> TraceEvent:
        return new_event(trace_id=name, span_id=name, event_type=f"stage:{name}:{phase}", data={"queue": queue})

    with tailing(store, "status:failed", "queue:loans", "--", "-trace:quiet") as tail:
        tail.until("polling every 1")
        shown = [stage("a1", "loans"), stage("a2", "loans")]
        others = [stage("b1", "cards"), stage("b2", "loans", "completed"), stage("quiet-1", "loans")]
        store.append([shown[0], *others, shown[1]])
        tail.until("stage:a2 failed")
        assert [line.split()[2] for line in tail.lines] == ["a1", "a2"]


def test_a_trace_whose_id_looks_like_a_condition_is_followed(store: EventStore) -> None:
    for trace_id in ("order:7", "loan_id=L7"):
        store.append([now(trace_id, "workflow:x:started"), now(trace_id, "workflow:x:completed")])
        with tailing(store, trace_id) as tail:
            assert tail.ends() == 0
            assert "✔ succeeded" in tail.lines[-1]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (["name:pay"], "tail cannot wait for name:"),
        (["--", "-standing:any"], "tail cannot wait for -standing:"),
        (["took:>5s"], "tail cannot wait for took:"),
        (["status:failed,running"], "tail cannot wait for status:"),
        (["new", "status:failed"], "tail cannot wait for new"),
        (["loan", "status:failed"], "write trace:loan"),
        (["until:2h"], "must be in the future"),
        (["stauts:failed"], "unknown key stauts:"),
    ],
)
def test_a_query_about_whole_traces_is_wrong_usage(store: EventStore, query: list[str], said: str) -> None:
    with tailing(store, *query) as tail:
        assert tail.ends() == 2
        assert said in " ".join(tail.notes)


def test_the_printed_json_is_the_stored_document(store: EventStore) -> None:
    with tailing(store, "--json") as tail:
        tail.until("polling every 1")
        store.append([*failed("A"), *succeeded("B")])
        until(lambda: len(tail.lines) == 22, "all of it")
        stored = [document_of(one) for trace_id in "AB" for one in store.fetch_trace(trace_id).events]
        assert sorted(map(json.loads, tail.lines), key=str) == sorted(stored, key=str)


@pytest.mark.parametrize("trace_id", [["T"], []])
def test_with_a_mirror_events_arrive_before_the_next_poll(store: EventStore, trace_id: list[str]) -> None:
    store.append([now("T", "workflow:x:started")])
    with running_redis() as redis, tailing(store, *trace_id, "--json", mirror=redis.url) as tail:
        publisher = Publisher(Mirror(redis.url, store.label))
        publisher.start()
        tail.until("live (Redis)")
        done = now("T", "workflow:x:completed")
        store.append([done])
        publisher.offer([done])
        tail.until(done.id)
        publisher.close()
        if trace_id:
            assert tail.ends() == 0
        assert sum(done.id in line for line in tail.lines) == 1


def test_an_event_that_was_only_published_is_not_printed_and_ends_nothing(store: EventStore) -> None:
    store.append([now("T", "workflow:x:started")])
    with running_redis() as redis, tailing(store, "T", mirror=redis.url) as tail:
        publisher = Publisher(Mirror(redis.url, store.label))
        publisher.start()
        tail.until("live (Redis)")
        publisher.offer([now("T", "workflow:x:completed"), now("T", "stage:false:started")])
        until(lambda: publisher.published == 2, "both published")
        store.append([now("T", "workflow:x:failed")])
        assert tail.ends() == 4
        publisher.close()
        assert not re.search("completed|succeeded|stage:false", "".join(tail.lines))


def test_a_missing_redis_is_reported_and_the_store_is_polled(store: EventStore) -> None:
    with tailing(store, mirror="redis://127.0.0.1:1/0") as tail:
        tail.until("reconnecting · polling every 1")
        store.append([now("T", "workflow:x:started")])
        tail.until("workflow:x started")
        tail.until("sagatrace: the mirror redis://127.0.0.1:1/0 cannot be read")
    with tailing(store, "T", mirror="http://:s3cret@host") as tail:
        tail.until("SAGATRACE_MIRROR")
        tail.until("▶ running")
        store.append([now("T", "workflow:x:completed")])
        tail.until("workflow:x completed")
        assert "s3cret" not in "".join(tail.notes)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_good_order(store: EventStore, number: signal.Signals, status: int) -> None:
    store.append([now("T", "workflow:x:started")])
    with tailing(store, "T") as tail:
        tail.until("▶ running")
        tail.process.send_signal(number)
        assert tail.ends() == status
        assert not any("Traceback" in line for line in tail.notes)


def test_it_ends_when_the_reader_of_the_pipe_is_gone_although_no_event_arrives(store: EventStore) -> None:
    store.append([now("T", "workflow:x:started")])
    command = [sys.executable, "-c", "from sagatrace_tui.cli import main; main()", "tail", "T", "--store", store.label]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(120) == 0
        assert b"Traceback" not in process.stderr.read()


def test_a_missing_trace_has_its_own_status(store: EventStore) -> None:
    with tailing(store, "nope") as tail:
        assert tail.ends() == 7
        assert "no trace 'nope'" in tail.notes[-1]
        assert tail.lines == []


def test_values_of_jobs_reach_the_terminal_only_as_text(store: EventStore) -> None:
    data = {"error": "a\x1b[2Jb\u202ec\n"}
    store.append([new_event(trace_id="\x1b]0;T", span_id="s", event_type="stage:\x1b[31m:failed", data=data)])
    for arguments in (["\x1b]0;T"], ["\x1b]0;T", "--json"]):
        with tailing(store, *arguments) as tail:
            assert tail.ends() in (4, 6)
            said = "".join([*tail.lines, *tail.notes])
            assert "\x1b" not in said
            assert "\u202e" not in said


def test_a_store_that_fails_is_reported_and_read_again_when_it_works(store: EventStore, tmp_path: Path) -> None:
    store.append([now("T", "workflow:x:started")])
    with tailing(store, "T") as tail:
        tail.until("▶ running")
        (tmp_path / "traces.db").rename(tmp_path / "away.db")
        tail.until("no store at")
        (tmp_path / "away.db").rename(tmp_path / "traces.db")
        store.append([now("T", "workflow:x:completed")])
        tail.until("✔ succeeded")
        assert tail.ends() == 0
