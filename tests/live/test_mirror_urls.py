"""Every kind of mirror URL on a server of that kind: events are published and received."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis import Redis
from test_subscriber import listening

from sagatrace.errors import SettingsError
from sagatrace.event import new_event
from sagatrace.mirror import Mirror, Publisher
from servers import TcpRedis, free_port, running_redis, until


def goes_through(publishes: str, hears: str | None = None) -> None:
    """Require that an event published at one URL is received at the other, with its publisher."""
    publisher = Publisher(Mirror(publishes, "memory:"))
    with listening(Mirror(hears or publishes, "memory:"), "T") as ear:
        event = new_event(trace_id="T", span_id="S", event_type="stage:x:started")
        publisher.offer([event])
        until(lambda: ear.take().live and event.id in ear.events, "the event")
    publisher.close()
    assert (publisher.published, publisher.lost) == (1, 0)


def test_a_unix_socket() -> None:
    with running_redis() as redis:
        goes_through(redis.url)


def test_an_acl_user_with_the_least_rights() -> None:
    with TcpRedis() as redis, Redis.from_url(redis.url) as admin:
        rules = "on >p@ss:w/rd resetchannels &sagatrace:* -@all +publish +subscribe +ping"
        admin.execute_command("ACL", "SETUSER", "tracer", *rules.split())
        goes_through(f"redis://tracer:{quote('p@ss:w/rd', safe='')}@127.0.0.1:{redis.port}/0")
        wrong = Mirror(f"redis://tracer:wr0ng@127.0.0.1:{redis.port}/0", "memory:")
        publisher = Publisher(wrong)
        publisher.offer([new_event(trace_id="T", span_id="S", event_type="stage:x:started")])
        until(lambda: publisher.lost == 1, "that it is refused")
        publisher.close()
        assert "wr0ng" not in wrong.label


def test_tls_with_a_checked_certificate(tmp_path: Path) -> None:
    with TcpRedis() as redis, tls_before(redis.port, tmp_path) as port:
        goes_through(f"rediss://localhost:{port}/0?ssl_ca_certs={quote(str(tmp_path / 'cert.pem'))}")
        distrusted = Publisher(Mirror(f"rediss://localhost:{port}/0", "memory:"))
        distrusted.offer([new_event(trace_id="T", span_id="S", event_type="stage:x:started")])
        until(lambda: distrusted.lost == 1, "that it is not trusted")
        distrusted.close()


def test_any_node_of_a_cluster() -> None:
    with ExitStack() as running:
        nodes = [running.enter_context(TcpRedis("--cluster-enabled", "yes", port=free_port(50_000))) for _ in range(3)]
        clients = [running.enter_context(Redis.from_url(node.url)) for node in nodes]
        clients[0].execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        for client in clients:
            until(lambda client=client: _is_whole(client, len(nodes)), "the cluster")  # type: ignore[misc]
        goes_through(nodes[0].url, nodes[1].url)
        goes_through(nodes[2].url, nodes[2].url)


def test_the_master_that_sentinels_name_and_its_successor(tmp_path: Path) -> None:
    with ExitStack() as running:
        master = running.enter_context(TcpRedis("--requirepass", "s3cret", "--masterauth", "s3cret"))
        follows = ("--replicaof", "127.0.0.1", str(master.port))
        replica = running.enter_context(TcpRedis("--requirepass", "s3cret", "--masterauth", "s3cret", *follows))
        with Redis.from_url(f"redis://:s3cret@127.0.0.1:{replica.port}/0") as client:
            until(lambda: client.info("replication")["master_link_status"] == "up", "the replica")
        port = free_port()
        config = tmp_path / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor saga 127.0.0.1 {master.port} 1\n"
            f"sentinel auth-pass saga s3cret\nsentinel down-after-milliseconds saga 400\n"
            f"sentinel failover-timeout saga 2000\n"
        )
        running.enter_context(TcpRedis(sentinel=config, port=port))
        url = f"redis+sentinel://:s3cret@127.0.0.1:1,127.0.0.1:{port}/saga/0"
        with Redis(port=port) as sentinel:
            until(lambda: sentinel.execute_command("SENTINEL", "REPLICAS", "saga"), "that it knows the replica")
        goes_through(url)
        with listening(Mirror(url, "memory:"), "T") as ear:
            publisher = Publisher(Mirror(url, "memory:"))
            publisher.start()
            until(lambda: ear.take().live, "it is live")
            master.stop()
            until(lambda: not ear.take().live, "that this is over")
            until(lambda: ear.take().live, "it is live again, by the new master")
            assert ear.missed >= 2
            publisher.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://host:1",
        "redis+sentinel:///saga",
        "redis+sentinel://host:x/saga",
        "redis+sentinel://a:0/saga",
        "sentinel://host/saga",
        "redis+cluster://host",
    ],
)
def test_a_url_of_an_impossible_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"redis\+sentinel://HOST:PORT,HOST:PORT/SERVICE"):
        Mirror(url, "memory:")


def _is_whole(client: Redis, nodes: int) -> bool:
    """Return whether this node of a cluster serves, and knows all nodes."""
    state: Any = client.execute_command("CLUSTER INFO")
    return bool(state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == nodes)


@contextmanager
def tls_before(port: int, directory: Path) -> Iterator[int]:
    """Return a port with TLS, with a certificate for localhost in `cert.pem`, that forwards to the given port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    with ExitStack() as ends, socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server, context, port, ends), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(120)


def _accept(server: socket.socket, context: ssl.SSLContext, port: int, ends: ExitStack) -> None:
    while True:
        try:
            outer = server.accept()[0]
        except OSError:
            return
        try:
            outer = context.wrap_socket(outer, server_side=True)
        except OSError:
            outer.close()
            continue
        inner = socket.create_connection(("127.0.0.1", port))
        ends.enter_context(outer)
        ends.enter_context(inner)
        for source, target in ((outer, inner), (inner, outer)):
            threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
