"""The Redis of a client: the same name after a restart, and a URL by which the shipper reaches it."""

from __future__ import annotations

import json
import os
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis, SSLConnection
from redis.credentials import UsernamePasswordCredentialProvider
from redis.sentinel import Sentinel

from sagatrace.mirror import connect_redis
from sagatrace.rq.redis_address import is_perhaps, place_of_redis
from sagatrace.rq.redis_url import NO_URL, url_of_redis
from sagatrace.shipper.launcher import ShipperKeeper
from sagatrace.shipper.status import describe_outbox
from sagatrace_tui.commands.doctor import Patient, examined
from servers import TcpRedis, free_port, until


@pytest.mark.parametrize(
    ("options", "place", "url"),
    [
        ({"host": "redis.example", "port": 6380, "db": 3}, "redis.example:6380/3", "redis://redis.example:6380/3"),
        (
            {"host": "r.example", "username": "me", "password": "a/b", "ssl": True},
            "r.example:6379/0",
            "rediss://me:a%2Fb@r.example:6379/0",
        ),
        ({"unix_socket_path": "/run/a b.sock"}, ":/run/a b.sock/0", "unix:///run/a%20b.sock?db=0"),
        ({"host": "old.example", "protocol": 2}, "old.example:6379/0", "redis://old.example:6379/0?protocol=2"),
        ({"unix_socket_path": "/a", "protocol": 2}, ":/a/0", "unix:///a?db=0&protocol=2"),
        ({"host": "fd00::1", "port": 1}, "fd00::1:1/0", "redis://[fd00::1]:1/0"),
    ],
)
def test_a_redis_is_named_without_its_secret_and_reached_again(options: Any, place: str, url: str) -> None:
    client = Redis(**options)
    assert str(place_of_redis(client)).endswith(place)
    assert "a/b" not in str(place_of_redis(client))
    assert url_of_redis(client) == url
    again = connect_redis(url, 1.0)
    assert place_of_redis(again) == place_of_redis(client)
    for name in ("username", "password", "protocol", "host"):
        assert again.connection_pool.connection_kwargs.get(name) == client.connection_pool.connection_kwargs.get(name)


TLS: dict[str, Any] = {
    "ssl_cert_reqs": "none",
    "ssl_check_hostname": False,
    "ssl_ca_certs": "/etc/a b/ca.pem",
    "ssl_ca_path": "/etc/ca",
    "ssl_ca_data": "-----BEGIN\n+/=&",
    "ssl_certfile": "/c.pem",
    "ssl_keyfile": "/k.pem",
    "ssl_password": "s&cret",
    "ssl_ciphers": "ECDHE+AESGCM:!aNULL",
}


@pytest.mark.parametrize("options", [{name: value} for name, value in TLS.items()] + [TLS], ids=str)
def test_options_of_tls_reach_the_shipper_from_a_url_or_from_code(options: dict[str, Any]) -> None:
    in_code = Redis(host="r.example", ssl=True, **options)
    url = url_of_redis(in_code)
    assert url is not None
    for client in (in_code, Redis.from_url(url)):
        again = connect_redis(str(url_of_redis(client)), 1.0)
        assert issubclass(again.connection_pool.connection_class, SSLConnection)
        assert {name: again.connection_pool.connection_kwargs[name] for name in options} == options


@pytest.mark.parametrize(("given", "meant"), [(None, "none"), (ssl.CERT_NONE, "none"), (ssl.CERT_OPTIONAL, "optional")])
def test_a_certificate_that_is_not_checked_by_the_worker_is_not_checked_by_the_shipper(given: Any, meant: str) -> None:
    url = url_of_redis(Redis(host="r.example", ssl=True, ssl_cert_reqs=given))
    assert url is not None
    assert Redis.from_url(url).connection_pool.connection_kwargs["ssl_cert_reqs"] == meant
    assert "ssl" not in str(url_of_redis(Redis(host="r.example", ssl=True))).removeprefix("rediss://")


class Cluster:
    """A stand-in for redis-py's client of a cluster: it has no single pool."""


@pytest.mark.parametrize(
    "client", [Redis(credential_provider=UsernamePasswordCredentialProvider("a", "b")), Cluster()], ids=["keys", "many"]
)
def test_there_is_no_url_if_none_can_hold_the_options(client: Any) -> None:
    assert url_of_redis(client) is None
    assert place_of_redis(Cluster()) is None  # type: ignore[arg-type]


def test_a_redis_behind_sentinels_is_named_by_its_service_and_reached_again(tmp_path: Path) -> None:
    with ExitStack() as running:
        master = running.enter_context(TcpRedis("--requirepass", "s3cret"))
        port = free_port()
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nrequirepass watch\n"
            f"sentinel monitor saga 127.0.0.1 {master.port} 1\nsentinel auth-pass saga s3cret\n"
        )
        running.enter_context(TcpRedis(sentinel=config, port=port))
        addresses = [("127.0.0.1", 1), ("127.0.0.1", port)]
        sentinel: Any = Sentinel(addresses, sentinel_kwargs={"password": "watch"}, password="s3cret", db=3)  # type: ignore[no-untyped-call]  # noqa: S106
        client = sentinel.master_for("saga")
        assert place_of_redis(client) == "sentinel:saga/3"
        url = str(url_of_redis(client))
        assert url == f"redis+sentinel://:s3cret@127.0.0.1:1,127.0.0.1:{port}/saga/3?sentinel_password=watch"
        with connect_redis(url, 5.0) as again:
            again.set("key", "value")
            assert place_of_redis(again) == "sentinel:saga/3"
        assert client.get("key") == b"value"
        client.close()


def test_a_local_redis_keeps_its_name_except_the_host() -> None:
    here = socket.gethostname()
    mine = str(place_of_redis(Redis(port=6380, db=1)))
    assert mine == f"{here}:6380/1"
    for place, host, perhaps in (
        ("pod-1:6380/1", "pod-1", True),
        ("pod-1:6380/2", "pod-1", False),
        ("redis.example:6380/1", "pod-1", False),  # the Redis of another host, which both reach
        (None, "pod-1", False),
    ):
        assert is_perhaps(place, host, mine) is perhaps
    assert not is_perhaps("pod-1:6380/1", "pod-1", "redis.example:6380/1")
    assert is_perhaps(None, "pod-1", "sentinel:saga/0")  # as events named it before


def test_the_log_and_doctor_say_that_lost_jobs_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the shipper's log, and by `doctor`."""
    environ = {"SAGATRACE_STORE": f"sqlite:///{tmp_path}/traces.db"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    outbox = tmp_path / "traces.db-outbox"
    keeper = ShipperKeeper(outbox, environment={"SAGATRACE_REDIS_URL": NO_URL})
    keeper.attend()
    until(lambda: describe_outbox(outbox).shipper, "a shipper")
    state = describe_outbox(outbox).shipper
    assert state is not None
    assert state.lost_jobs is not None
    assert state.lost_jobs in (outbox / "shipper.log").read_text()
    found = [check for check in examined(Patient({**os.environ, **environ})) if check.subject == "lost jobs"]
    assert [(check.state, state.lost_jobs in check.said) for check in found] == [("fault", True)]
    assert json.loads((outbox / "shipper.lock").read_text())["lost_jobs"] == state.lost_jobs
    keeper.close()
