"""The shipper publishes stored events, and no state of Redis keeps it from delivering."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from redis.client import PubSub

from sagatrace.errors import SettingsError
from sagatrace.event import TraceEvent, new_event
from sagatrace.mirror import MAX_MESSAGE, Mirror, Publisher
from sagatrace.outbox import Outbox
from sagatrace.settings import Settings
from sagatrace.shipper.shipper import Shipper
from sagatrace.stores import EventStore, open_store
from sagatrace.stores.codec import decode_event, document_of
from sagatrace_tui.demo.redis_server import RedisServer
from servers import running_redis, until


def events(count: int, trace_id: str = "T") -> list[TraceEvent]:
    return [new_event(trace_id=trace_id, span_id=f"S{n}", event_type="stage:x:started") for n in range(count)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_store(f"sqlite:///{tmp_path}/traces.db")
    yield opened
    opened.close()


@contextmanager
def hearing(mirror: Mirror, *channels: str) -> Iterator[PubSub]:
    """Yield a subscription that Redis has confirmed."""
    with mirror.connect() as client, client.pubsub() as heard:
        heard.subscribe(*channels)
        for _ in channels:
            until(lambda: heard.get_message(timeout=1), "the subscription is confirmed")
        yield heard


def next_message(heard: PubSub) -> dict[str, Any]:
    def get() -> Any:
        return heard.get_message(ignore_subscribe_messages=True, timeout=1)

    return cast("dict[str, Any]", until(get, "a message"))


@contextmanager
def hanging_redis() -> Iterator[str]:
    """Accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://:s3cret@127.0.0.1:{server.getsockname()[1]}/0"


def ship(directory: Path, store: EventStore, publisher: Publisher, sent: list[TraceEvent]) -> None:
    Outbox(directory).append(sent)
    shipper = Shipper(directory, store, publisher=publisher)
    assert shipper.run_once().delivered == len(sent)
    shipper.close()


def test_each_event_is_published_on_both_channels_after_the_store_has_it(tmp_path: Path, store: EventStore) -> None:
    with running_redis() as redis:
        mirror = Mirror(redis.url, store.label)
        sent = events(3)
        with hearing(mirror, mirror.trace_channel("T"), mirror.all_channel) as heard:
            publisher = Publisher(mirror)
            ship(tmp_path / "outbox", store, publisher, [*sent, *events(1, "other")])
            got = [next_message(heard) for _ in range(7)]
        stored = {event.id: event for trace_id in ("T", "other") for event in store.fetch_trace(trace_id).events}
        for message in got:
            event = decode_event(message["data"])
            assert stored[event.id] == event
        channels = [message["channel"].decode() for message in got]
        assert channels.count(mirror.trace_channel("T")) == 3
        assert channels.count(mirror.all_channel) == 4
        assert (publisher.published, publisher.lost) == (4, 0)


def test_an_event_that_the_store_may_hold_differently_is_published_by_its_id(tmp_path: Path, store: EventStore) -> None:
    """An event replaced by another with its id is not in the store, so its content is not published."""
    outbox, [seen, presumed, new] = Outbox(tmp_path / "outbox"), events(3)
    presumed = msgspec.structs.replace(presumed, id=seen.id)
    with running_redis() as redis:
        mirror = Mirror(redis.url, store.label)
        with hearing(mirror, mirror.trace_channel("T")) as heard:
            publisher = Publisher(mirror)
            shipper = Shipper(tmp_path / "outbox", store, publisher=publisher)
            for batch, replace in (([seen], True), ([presumed], False), ([presumed, new], False)):
                outbox.append(batch, replace=replace)
                shipper.run_once()
            published = [json.loads(next_message(heard)["data"]) for _ in range(3)]
            shipper.close()
    assert published[0] == document_of(seen)
    assert published[1:] == [{"id": event.id, "trace_id": "T"} for event in (presumed, new)]
    assert {event.id: event for event in store.fetch_trace("T").events} == {seen.id: seen, new.id: new}


def test_a_shipper_process_publishes_to_the_mirror_of_its_environment(tmp_path: Path, store: EventStore) -> None:
    sent = events(2)
    Outbox(tmp_path / "outbox").append(sent)
    with running_redis() as redis:
        mirror = Mirror(redis.url, store.label)
        environment = {**os.environ, "SAGATRACE_STORE": store.label, "SAGATRACE_MIRROR": redis.url}
        with hearing(mirror, mirror.all_channel) as heard:
            # With --follow: a shipper that delivers once waits for Redis only half a second.
            command = [sys.executable, "-m", "sagatrace.shipper", "--follow", str(tmp_path / "outbox")]
            with subprocess.Popen(command, env=environment) as shipper:
                try:
                    assert [decode_event(next_message(heard)["data"]) for _ in sent] == sent
                finally:
                    shipper.terminate()
            assert shipper.returncode == 0


def test_a_wrong_mirror_url_is_logged_and_stops_no_delivery(tmp_path: Path, store: EventStore) -> None:
    Outbox(tmp_path / "outbox").append(events(2))
    environment = {**os.environ, "SAGATRACE_STORE": store.label, "SAGATRACE_MIRROR": "localhost:6379"}
    command = [sys.executable, "-m", "sagatrace.shipper", str(tmp_path / "outbox")]
    done = subprocess.run(command, env=environment, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "events are not published: SAGATRACE_MIRROR" in done.stderr
    assert len(store.fetch_trace("T").events) == 2


def test_stores_that_share_a_redis_have_separate_channels() -> None:
    one, other = (Mirror("redis://localhost", label) for label in ("sqlite:////a.db", "sqlite:////b.db"))
    assert one.trace_channel("T") != other.trace_channel("T")
    assert one.all_channel != other.all_channel


def test_a_redis_that_never_answers_costs_no_delivery(
    tmp_path: Path, store: EventStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with hanging_redis() as url:
        publisher = Publisher(Mirror(url, store.label), max_waiting=50)
        ship(tmp_path / "outbox", store, publisher, events(200))
    assert len(store.fetch_trace("T").events) == 200
    assert (publisher.published, publisher.lost) == (0, 200)
    assert "does not accept events" in caplog.text
    assert "s3cret" not in caplog.text


def test_the_pulse_counts_the_events_that_were_lost_during_an_outage(store: EventStore, tmp_path: Path) -> None:
    with running_redis() as redis:
        mirror, directory = Mirror(redis.url, store.label), Path(redis.socket).parent
        publisher = Publisher(mirror)
        publisher.offer(events(1))
        until(lambda: publisher.published == 1, "the first is published")
        redis.stop()
        publisher.offer(events(5))
        until(lambda: publisher.lost == 5, "five are given up")
        with RedisServer(directory), hearing(mirror, mirror.pulse_channel) as heard:
            pulse = json.loads(next_message(heard)["data"])
            publisher.offer(events(1))
            until(lambda: publisher.published == 2, "published again")
            publisher.close()
        assert pulse["lost"] == 5


def test_an_event_that_is_too_large_is_published_by_its_id(store: EventStore) -> None:
    with running_redis() as redis:
        mirror = Mirror(redis.url, store.label)
        large = new_event(trace_id="T", span_id="S", event_type="a:started", data={"text": "x" * MAX_MESSAGE})
        publisher = Publisher(mirror)
        with hearing(mirror, mirror.trace_channel("T")) as heard:
            publisher.offer([large])
            assert json.loads(next_message(heard)["data"]) == {"id": large.id, "trace_id": "T"}
            publisher.close()


@pytest.mark.parametrize("url", ["s3cret", "http://:s3cret@host", "redis://:s3/cret@host:port", "redis://:p@h:s3cret"])
def test_a_wrong_mirror_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="SAGATRACE_MIRROR") as refused:
        Mirror(url, "memory:")
    assert "cret@" not in str(refused.value)
    assert "s3cret" not in repr(Settings("memory:", mirror=url))


def test_several_threads_may_offer_the_first_events() -> None:
    """A shipper that runs once delivers sixteen traces in parallel, and none of them has started the publisher."""
    nowhere, together = Mirror("redis://localhost:1", "store"), threading.Barrier(16)

    def offer(publisher: Publisher) -> None:
        together.wait()
        publisher.offer(events(1))

    with ThreadPoolExecutor(16) as pool:
        for _ in range(20):
            publisher = Publisher(nowhere)
            list(pool.map(offer, [publisher] * 16))
            publisher.close()
            assert publisher.lost == 16
