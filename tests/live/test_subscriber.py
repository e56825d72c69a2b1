"""A subscriber on a real Redis, with faults of Redis meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from sagatrace.event import TraceEvent, encode_event, new_event
from sagatrace.mirror import MAX_MESSAGE, Heard, Mirror, Publisher, Subscriber
from servers import TcpRedis, until


def events(count: int, trace_id: str = "T", size: int = 0) -> list[TraceEvent]:
    data = {"text": "x" * size} if size else None
    return [
        new_event(trace_id=trace_id, span_id=f"S{n}", event_type="stage:x:started", data=data) for n in range(count)
    ]


class Ear:
    """Collects the events of a subscriber."""

    def __init__(
        self, mirror: Mirror, trace_id: str | None, *, max_waiting: int = 20_000, max_bytes: int = 32 << 20
    ) -> None:
        self.events: dict[str, TraceEvent] = {}
        self.missed = 0
        self.wakes = 0
        self.subscriber = Subscriber(mirror, trace_id, self._wake, max_waiting=max_waiting, max_bytes=max_bytes)

    def _wake(self) -> None:
        self.wakes += 1

    def take(self) -> Heard:
        heard = self.subscriber.take()
        self.events.update({event.id: event for event in heard.events})
        self.missed += heard.missed
        return heard

    def is_listening(self) -> bool:
        return self.take().phase == "listening"


@contextmanager
def listening(mirror: Mirror, trace_id: str | None, **bounds: int) -> Iterator[Ear]:
    ear = Ear(mirror, trace_id, **bounds)
    ear.subscriber.start()
    try:
        until(ear.is_listening, "the subscription")
        yield ear
    finally:
        ear.subscriber.stop()
        ear.subscriber.thread.join(120)
        assert not ear.subscriber.thread.is_alive()


@pytest.fixture
def server() -> Iterator[TcpRedis]:
    with TcpRedis() as started:
        yield started


@pytest.fixture
def mirror(server: TcpRedis) -> Mirror:
    return Mirror(server.url, "memory:")


@pytest.mark.parametrize("trace_id", ["T", None])
def test_published_events_are_received_and_the_publisher_is_known(mirror: Mirror, trace_id: str | None) -> None:
    sent = events(1200)
    with listening(mirror, trace_id) as ear:
        assert ear.missed == 1
        publisher = Publisher(mirror)
        publisher.offer([*sent[:400], *events(5, "other")])
        publisher.offer(sent[400:])
        until(lambda: ear.take().live and len(ear.events) >= 1200, "all of it")
        assert set(ear.events) >= {event.id for event in sent}
        assert len(ear.events) == (1200 if trace_id else 1205)
        publisher.close()
        assert publisher.lost == 0
        assert ear.missed == 1
        assert ear.wakes


def test_messages_that_are_not_events_or_have_a_wrong_trace_are_counted_and_ignored(mirror: Mirror) -> None:
    with listening(mirror, "T") as ear, mirror.connect() as client:
        [good] = events(1)
        noise = [b"", b"\xff\xfe", b"[]", b"{}", b'{"id": 1}', encode_event(events(1, "other")[0]), b"[" * 100_000]
        noise += [b'{"id":"a","trace_id":"other"}', b"x" * (3 * MAX_MESSAGE), b'{"id":"","trace_id":"T","span_id":"s"']
        noise += [b'{"id":"a","trace_id":"T","x":' + b"[" * 100_000]
        for message in [*noise, encode_event(good)]:
            client.publish(mirror.trace_channel("T"), message)
        no_pulses = [
            b"no pulse",
            b'{"x":' + b"[" * 100_000,
            b'{"publisher":"' + b"x" * 10**6 + b'","published":0,"lost":0}',
        ]
        for message in no_pulses:
            client.publish(mirror.pulse_channel, message)
        until(lambda: ear.take().ignored == len(noise) + len(no_pulses), "the count")
        assert list(ear.events) == [good.id]
        assert ear.missed == 1


def test_an_event_too_large_to_publish_is_read_from_the_store(mirror: Mirror) -> None:
    with listening(mirror, "T") as ear:
        publisher = Publisher(mirror)
        publisher.offer(events(1, size=MAX_MESSAGE))
        until(lambda: ear.take() and ear.missed == 2, "that something is missing")
        publisher.close()
        assert ear.take().ignored == 0


def test_events_beyond_the_limit_are_dropped_and_reported(mirror: Mirror) -> None:
    with listening(mirror, "T", max_waiting=100) as ear:
        publisher = Publisher(mirror)
        publisher.offer(events(350))
        until(lambda: publisher.published == 350, "all is published")
        publisher.close()
        until(lambda: ear.take() and ear.missed == 2, "the gap")
        assert len(ear.events) <= 100


def test_a_killed_connection_is_made_again_with_a_gap(mirror: Mirror, server: TcpRedis) -> None:
    with listening(mirror, "T") as ear, Redis.from_url(server.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        until(lambda: ear.take() and ear.missed == 2 and ear.is_listening(), "it listens again")
        [event] = events(1)
        client.publish(mirror.trace_channel("T"), encode_event(event))
        until(lambda: ear.take() and event.id in ear.events, "the event")


def test_a_redis_that_is_killed_and_started_again_is_found() -> None:
    with TcpRedis() as server:
        mirror = Mirror(server.url, "memory:")
        with listening(mirror, None) as ear:
            server.stop()
            until(lambda: ear.take().phase == "lost", "it is known to be lost")
            assert ear.subscriber.take().fault is not None
            server.start()
            until(ear.is_listening, "it listens again")
            assert ear.missed == 2


def test_a_subscriber_too_slow_for_its_buffer_is_dropped_by_redis_and_reports_it(
    mirror: Mirror, server: TcpRedis
) -> None:
    with Redis.from_url(server.url) as client:
        client.config_set("client-output-buffer-limit", "pubsub 64kb 64kb 1")
        with listening(mirror, "T") as ear:
            # Blocked here, the thread reads nothing more: the system's buffers fill first, then Redis's own.
            with ear.subscriber._lock:
                for event in events(600, size=20_000):
                    client.publish(mirror.trace_channel("T"), encode_event(event))
                until(lambda: not _subscribers(client), "Redis has thrown it out")
            until(lambda: ear.take() and ear.missed >= 2 and ear.is_listening(), "the gap")


def _subscribers(client: Redis) -> list[object]:
    return client.client_list(_type="pubsub")  # type: ignore[no-any-return]


def test_a_redis_that_stops_answering_is_noticed_and_a_missing_one_is_retried(server: TcpRedis) -> None:
    mirror = Mirror(server.url, "memory:")
    with listening(mirror, "T") as ear:
        server.process.send_signal(signal.SIGSTOP)  # it hangs
        until(lambda: ear.take().phase == "lost", "the silence is noticed")
        server.process.send_signal(signal.SIGCONT)
        until(ear.is_listening, "it listens again")
    unreachable = Ear(Mirror("redis://127.0.0.1:1/0", "memory:"), "T")
    unreachable.subscriber.start()
    until(lambda: unreachable.take().phase == "lost", "the lost connection")
    unreachable.subscriber.stop()


def test_a_server_that_repeats_its_input_reveals_no_password(caplog: pytest.LogCaptureFixture) -> None:
    # The default user needs no password: a newer server repeats an unknown command only to a signed-in client.
    worker = ("--user", "worker", "on", ">sesame", "~*", "&*", "+@all")
    with TcpRedis("--rename-command", "HELLO", "", *worker) as server:
        url = server.url.replace("//", "//worker:sesame@")
        mirror = Mirror(url, "memory:")
        ear = Ear(mirror, None)
        ear.subscriber.start()
        fault = until(lambda: ear.take().fault, "the fault of the connection")
        ear.subscriber.stop()
        publisher = Publisher(mirror)
        publisher.offer(events(1))
        until(lambda: publisher.lost == 1, "that it cannot be published")
        publisher.close()
        ear.subscriber.thread.join(120)
        said = [fault, *caplog.messages]
        assert len(said) >= 3
        assert not [text for text in said if "sesame" in text]
        assert "protocol=2" in str(fault)
        with listening(Mirror(f"{url}?protocol=2", "memory:"), None):
            pass  # as the error advises


def test_lost_events_of_a_publisher_are_a_gap_after_it_recovers(server: TcpRedis) -> None:
    mirror = Mirror(server.url, "memory:")
    publisher = Publisher(mirror)
    publisher.start()
    with listening(mirror, "T") as ear:
        until(lambda: ear.take().live, "the publisher is heard")
        before = ear.missed
        with Redis.from_url(server.url) as client:
            client.execute_command("ACL", "SETUSER", "default", "-publish")
            publisher.offer(events(3))
            until(lambda: publisher.lost == 3, "that they are lost")
            client.execute_command("ACL", "SETUSER", "default", "+publish")
        until(lambda: ear.take() and ear.missed > before, "the gap")
    publisher.close()


def test_a_subscriber_stops_in_every_state_of_redis() -> None:
    with TcpRedis() as server:
        ear = Ear(Mirror(server.url, "memory:"), "T")
        ear.subscriber.start()
        until(ear.is_listening, "the subscription")
        server.process.send_signal(signal.SIGSTOP)
        ear.subscriber.stop()
        ear.subscriber.thread.join(120)
        assert not ear.subscriber.thread.is_alive()
        server.process.send_signal(signal.SIGCONT)


def test_a_new_subscriber_knows_the_publisher_that_another_one_hears(server: TcpRedis, mirror: Mirror) -> None:
    with Redis.from_url(server.url) as client, listening(mirror, None) as first:
        assert not first.take().live
        client.publish(mirror.pulse_channel, b'{"publisher": "A", "published": 0, "lost": 0}')  # the only one there is
        until(lambda: first.take().live, "the pulse")
        with listening(mirror, "T") as second:
            assert second.take().live
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            until(lambda: second.take().missed and second.is_listening(), "that it is connected again")
            assert not second.take().live
        with listening(mirror, "T") as third:
            assert not third.take().live
