"""The app on a saga of a real worker, with faults of its Redis: screen and state line stay true."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from rq import Queue
from textual.pilot import Pilot

from sagas import screen_text
from sagas import until as shows
from sagatrace import TraceContext, trace_meta
from sagatrace.event import encode_event, new_event
from sagatrace.mirror import Mirror
from sagatrace.stores import EventStore, open_store
from sagatrace_tui.app import SagatraceApp
from sagatrace_tui.demo.workers import worker_command, worker_environment
from sagatrace_tui.live.trace_feed import TraceFeed
from sagatrace_tui.model import build_trace
from sagatrace_tui.screens.trace import TraceScreen
from sagatrace_tui.widgets.bar import StateLine
from servers import TcpRedis, until


@dataclass
class Stage:
    """The saga, its worker, and two servers: for the queue and for the mirror."""

    directory: Path
    store: EventStore
    queue: Redis
    mirror: TcpRedis
    app: SagatraceApp
    states: list[tuple[float, str]] = field(default_factory=list)

    def submit(self, stages: int) -> None:
        meta = trace_meta(TraceContext.new("T"))
        Queue("live", connection=self.queue).enqueue("slow_saga.controlled", str(self.directory), stages, meta=meta)

    def go_on(self, number: int) -> None:
        (self.directory / f"go-{number}").touch()

    @property
    def screen(self) -> TraceScreen:
        screen = self.app.screen
        assert isinstance(screen, TraceScreen)
        return screen

    @property
    def feed(self) -> TraceFeed:
        return self.screen.feed

    @property
    def state(self) -> str:
        facts = self.app.screen.query_one(StateLine).facts
        return facts[0] if facts else ""

    def watch(self) -> None:
        self.states.append((time.monotonic(), self.state))

    def states_between(self, began: float, ended: float) -> set[str]:
        return {state for at, state in self.states if began <= at <= ended}


@contextmanager
def staged(tmp_path: Path, queue: Redis, mirror: TcpRedis, mirror_url: str = "") -> Iterator[Stage]:
    url = f"sqlite:///{tmp_path}/traces.db"
    store = open_store(url)
    store.append([])
    place = mirror_url or mirror.url
    environment = worker_environment(url, place) | {"PYTHONPATH": str(Path(__file__).parent)}
    kwargs = queue.connection_pool.connection_kwargs
    command = worker_command(f"unix://{kwargs['path']}", "live")
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log, process_group=0)
    reader = open_store(url, read_only=True)
    try:
        yield Stage(
            tmp_path, store, queue, mirror, SagatraceApp(reader, trace_id="T", mirror=Mirror(place, store.label))
        )
    finally:
        below = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        worker.wait()
        for process in below:  # and its shipper
            if process.is_running():
                os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(below, timeout=120)
        store.close()
        reader.close()


async def sees(
    pilot: Pilot[Any], stage: Stage, condition: Callable[[], object], what: str, seconds: float = 120
) -> None:
    def look() -> object:
        stage.watch()
        return condition()

    await shows(pilot, look, what, seconds)


def kills_redis(stage: Stage) -> Callable[[], None]:
    stage.mirror.stop()
    return stage.mirror.start


def kills_the_connection(stage: Stage) -> Callable[[], None]:
    with Redis.from_url(stage.mirror.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    return lambda: None


def hangs_redis(stage: Stage) -> Callable[[], None]:
    stage.mirror.process.send_signal(signal.SIGSTOP)
    return lambda: stage.mirror.process.send_signal(signal.SIGCONT)


def is_too_slow(stage: Stage) -> Callable[[], None]:
    """Let Redis drop the subscriber, which reads nothing while its buffer overflows."""
    subscriber = stage.feed._refresh.subscriber
    assert subscriber is not None
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with subscriber._lock:
            held.set()
            free.wait(300)

    thread = threading.Thread(target=hold)
    with Redis.from_url(stage.mirror.url) as client:
        client.config_set("client-output-buffer-limit", "pubsub 64kb 64kb 1")
        thread.start()
        assert held.wait(120)
        other = new_event(trace_id="other", span_id="s", event_type="stage:x:started", data={"text": "x" * 20_000})
        for _ in range(600):
            client.publish(Mirror(stage.mirror.url, stage.store.label).trace_channel("T"), encode_event(other))
        until(lambda: not client.client_list(_type="pubsub"), "Redis has thrown it out")
    free.set()
    thread.join(120)
    return lambda: None


FAULTS = [kills_redis, kills_the_connection, hangs_redis, is_too_slow]


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_view_equals_the_store_after_any_fault_of_redis(
    tmp_path: Path, redis: Redis, fault: Callable[[Stage], Callable[[], None]]
) -> None:
    with TcpRedis() as mirror, staged(tmp_path, redis, mirror) as stage:
        stage.submit(4)
        until(lambda: len(stage.store.fetch_trace("T").events) >= 3, "the saga has begun, without a subscriber")
        async with stage.app.run_test(size=(120, 40)) as pilot:
            await sees(pilot, stage, lambda: "▶ stage:s0" in screen_text(stage.app), "the earlier events")
            await sees(pilot, stage, lambda: stage.state == "live (Redis)", "that it is live")
            stage.go_on(0)
            await sees(pilot, stage, lambda: "▶ stage:s1" in screen_text(stage.app), "the next stage, live")
            repair = fault(stage)
            stage.go_on(1)
            await sees(pilot, stage, lambda: "▶ stage:s2" in screen_text(stage.app), "the next stage, all the same")
            lasts = fault in (kills_redis, hangs_redis)
            if lasts:
                await sees(pilot, stage, lambda: "polling" in stage.state, "that it is not live")
                untrue_until = time.monotonic()
                stage.go_on(2)
                await sees(pilot, stage, lambda: "▶ stage:s3" in screen_text(stage.app), "one more stage")
                assert "live (Redis)" not in stage.states_between(untrue_until, time.monotonic())
            repair()
            await sees(pilot, stage, lambda: stage.state == "live (Redis)", "that it is live again")
            stage.go_on(2)
            stage.go_on(3)
            await sees(pilot, stage, lambda: "↩ rolled back" in screen_text(stage.app), "the verdict")
            await sees(pilot, stage, lambda: _is_what_is_stored(stage), "what the store has, event by event")
            assert stage.state == "live (Redis)"


async def test_a_missing_redis_is_always_shown_and_no_event_is_missed(tmp_path: Path, redis: Redis) -> None:
    with TcpRedis() as mirror, staged(tmp_path, redis, mirror, "redis://127.0.0.1:1/0") as stage:
        stage.submit(2)
        until(lambda: stage.store.fetch_trace("T").events, "the saga has begun")
        async with stage.app.run_test(size=(120, 40)) as pilot:
            await sees(pilot, stage, lambda: stage.state.startswith("reconnecting · polling every 1"), "the state")
            for number in range(2):
                stage.go_on(number)
                await sees(pilot, stage, lambda n=number: f"✔ stage:s{n}" in screen_text(stage.app), "the stage")  # type: ignore[misc]
            await sees(pilot, stage, lambda: "↩ rolled back" in screen_text(stage.app), "the verdict")
            await sees(pilot, stage, lambda: _is_what_is_stored(stage), "what the store has")
            assert not any("live" in state for _, state in stage.states)


def _is_what_is_stored(stage: Stage) -> bool:
    reading = stage.screen._reading
    events = stage.store.fetch_trace("T").events
    if reading is None or reading.trace is None or reading.trace.event_count != len(events):
        return False
    return reading.trace == build_trace("T", events, now=reading.trace.now)
