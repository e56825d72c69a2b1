"""Connections that share one TLS context, and sockets that stop reading at the deadline of a call.

The SDK has no limit for a response that arrives byte by byte: each byte starts a new wait. Here one deadline holds for
the whole response.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
from typing import Any, Final, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from sagatrace.stores.cosmos.call import this_call

__all__ = ["BoundedAdapter"]

_MOST_KEPT: Final = 32  # connections; a shipper uses half of them. Further requests open and close their own.


class BoundedAdapter(HTTPAdapter):
    """An adapter for requests whose connections share one TLS context and keep the deadline of the call.

    Without a shared context, each new TLS connection spends tens of milliseconds to load all trusted certificates.
    """

    def __init__(self, *, verify: bool) -> None:
        # A context that verifies refuses requests that turn verification off.
        self._context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
        self._authorities: set[str] = set()
        self._loading = threading.Lock()
        super().__init__(pool_maxsize=_MOST_KEPT, max_retries=Retry(total=False, redirect=False, raise_on_status=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools with the shared context and bounded sockets."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        _bound_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Create the pools of a proxy in the same way."""
        if proxy.lower().startswith("https"):
            kwargs["proxy_ssl_context"] = self._context
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        _bound_pools(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Load the certificates that requests chose into the shared context, once for all connections."""
        try:
            super().cert_verify(conn, url, verify, cert)
            chosen = conn.ca_certs or conn.ca_cert_dir
            with self._loading:
                if chosen and chosen not in self._authorities:
                    self._context.load_verify_locations(conn.ca_certs, conn.ca_cert_dir)
                    self._authorities.add(chosen)
        except OSError as error:
            raise requests.exceptions.SSLError(error) from error
        conn.ca_certs = conn.ca_cert_dir = None


def _bound_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _BoundHTTPPool, "https": _BoundHTTPSPool}


class _BoundHTTPConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast("socket.socket", _BoundSocket(self.sock))


class _BoundHTTPSConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = cast("socket.socket", _BoundSocket(self.sock))


class _BoundHTTPPool(HTTPConnectionPool):
    ConnectionCls = _BoundHTTPConnection  # pyright: ignore[reportAssignmentType]  # its own subclass


class _BoundHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundHTTPSConnection  # pyright: ignore[reportAssignmentType]


class _BoundSocket:
    """A socket whose reader waits at most until the deadline of the current call."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        return io.BufferedReader(_BoundReader(self._sock), 65536)


class _BoundReader(io.RawIOBase):
    def __init__(self, sock: Any) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        call = this_call()
        if call is not None:
            if call.remaining <= 0:
                raise TimeoutError("the call's time is up")
            self._sock.settimeout(call.remaining)
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()
