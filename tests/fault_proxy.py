"""A proxy between the SDK and a server that causes the faults of networks and services."""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

__all__ = [
    "ACTIVITY",
    "Answer",
    "Exchange",
    "Fault",
    "FaultProxy",
    "answering",
    "cut_short",
    "dropping",
    "foreign",
    "hanging",
    "stalling",
    "trickling",
]


ACTIVITY: Final = "0a1b2c3d-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Answer:
    """An HTTP response of the service or, with `foreign`, of another server on the way."""

    status: int
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    foreign: bool = False

    def encoded(self) -> bytes:
        """Return the bytes of the response."""
        lines = [f"HTTP/1.1 {self.status} {http.client.responses.get(self.status, 'Retry With')}"]
        ours = {} if self.foreign else {"x-ms-activity-id": ACTIVITY}
        fields = {"content-type": "application/json", **ours, **self.headers, "content-length": str(len(self.body))}
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "connection: close", "", ""]).encode() + self.body


class Exchange:
    """One request: its content, its connection, and the way to pass it on."""

    def __init__(self, proxy: FaultProxy, connection: socket.socket, method: str, path: str, body: bytes) -> None:
        self.proxy = proxy
        self.connection = connection
        self.method = method
        self.path = path
        self.body = body
        self.headers: dict[str, str] = {}

    @property
    def is_batch(self) -> bool:
        return self.headers.get("x-ms-cosmos-is-batch-request", "").lower() == "true"

    @property
    def operations(self) -> list[dict[str, Any]]:
        """Return the operations of a batch."""
        return json.loads(self.body)

    def forward(self) -> Answer:
        """Return the server's response."""
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        try:
            upstream.request(self.method, self.path, self.body, self.headers)
            response = upstream.getresponse()
            kept = {k: v for k, v in response.getheaders() if k.lower() not in {"content-length", "connection"}}
            kept.pop("Transfer-Encoding", None)
            return Answer(response.status, response.read(), kept)
        finally:
            upstream.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)


class Fault(Protocol):
    """The fault: an action in place of passing on a request."""

    def __call__(self, exchange: Exchange) -> None: ...


class FaultProxy:
    """A proxy on a free local port. While `fault` is set, it handles every request for items that `meets` selects.

    With `tls` it speaks TLS to the client. `connections` counts those accepted.
    """

    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = upstream
        self.tls = tls
        self.connections = 0
        self.fault: Fault | None = None
        self.meets: Callable[[Exchange], bool] = lambda exchange: "/docs" in exchange.path
        self.met = 0
        self.released = threading.Event()
        self._server: socketserver.ThreadingTCPServer | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.refuse()

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                proxy.connections += 1
                if proxy.tls is None:
                    proxy._serve(self.request, self.rfile)
                    return
                try:
                    with proxy.tls.wrap_socket(self.request, server_side=True) as wrapped:
                        proxy._serve(wrapped, wrapped.makefile("rb"))
                except OSError:
                    pass  # the client does not trust the certificate

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def refuse(self) -> None:
        """Stop listening: new connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def times(self, count: int, fault: Fault) -> None:
        """Let the fault handle the next `count` requests."""
        left = iter(range(count))

        def some(exchange: Exchange) -> None:
            if next(left, None) is None:
                exchange.send(exchange.forward().encoded())
            else:
                fault(exchange)

        self.fault = some

    def _serve(self, connection: socket.socket, reader: Any) -> None:
        try:
            method, path, _ = reader.readline().decode().split()
            fields = http.client.parse_headers(reader)
            body = reader.read(int(fields.get("content-length") or 0))
            exchange = Exchange(self, connection, method, path, body)
            exchange.headers = {k.lower(): v for k, v in fields.items() if k.lower() != "connection"}
            if self.fault is not None and self.meets(exchange):
                self.met += 1
                self.fault(exchange)
            else:
                exchange.send(exchange.forward().encoded())
        except (ConnectionError, ValueError, TimeoutError):
            pass  # the client has given up, as with most faults


def answering(status: int, *, message: str = "", headers: Mapping[str, str] | None = None) -> Fault:
    """Return a fault that responds in place of the server."""
    body = json.dumps({"code": str(status), "message": message}).encode()

    def fault(exchange: Exchange) -> None:
        exchange.send(Answer(status, body, headers or {}).encoded())

    return fault


def foreign(status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> Fault:
    """Return a fault that responds like a proxy or a login page."""

    def fault(exchange: Exchange) -> None:
        exchange.send(Answer(status, body, headers or {}, foreign=True).encoded())

    return fault


def hanging(exchange: Exchange) -> None:
    """Never answer."""
    exchange.proxy.released.wait(60)


def dropping(*, after: bool) -> Fault:
    """Close the connection without an answer: before the server has seen the request, or `after`."""

    def fault(exchange: Exchange) -> None:
        if after:
            exchange.forward()

    return fault


def cut_short(exchange: Exchange) -> None:
    """Let the server handle the request, and send half of its response."""
    encoded = exchange.forward().encoded()
    exchange.send(encoded[: len(encoded) // 2])


def stalling(exchange: Exchange) -> None:
    """Let the server handle the request, and send half of its response after a second."""
    encoded = exchange.forward().encoded()
    exchange.proxy.released.wait(1.0)
    exchange.send(encoded[: len(encoded) // 2])
    exchange.proxy.released.wait(60)


def trickling(exchange: Exchange) -> None:
    """Let the server handle the request, and send its response byte by byte."""
    for byte in exchange.forward().encoded():
        exchange.send(bytes([byte]))
        exchange.proxy.released.wait(0.05)
