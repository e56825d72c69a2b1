"""The HTTP under the SDK, with a deadline over everything one call does, and a count of what it cost.

The SDK bounds single waits, not their sum: a connection attempt, a read, its own retries and the sleeps between
them each have limits of their own, and a server that sends one byte a second never meets any. So the deadline is
kept here, below all of them.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, cast

import requests
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util.ssl_ import create_urllib3_context

__all__ = ["BoundedTransport", "Call", "DeadlineError", "UnreachableError", "call_within"]

_SDK_PAUSE: Final = 1.1  # seconds: the longest the SDK sleeps before a retry of its own, and a little
_FRAMING: Final = ("content-length", "transfer-encoding")
_RETRIED_BY_SDK: Final = frozenset({408, 410, 500, 502, 503, 504})


class DeadlineError(AzureError):
    """The call's time is up; `status` is what the service answered last, None when it did not."""

    def __init__(self, status: int | None = None) -> None:
        super().__init__("the call's time is up")
        self.status = status


class UnreachableError(AzureError):
    """The account's own address did not answer; an error the SDK does not know, so that it does not try again."""


class ClosedError(AzureError):
    """The connection was closed, by this process, while something was still to be sent."""


class AccountError(HttpResponseError):
    """What the account answered when asked for itself; not the SDK's own error, which it would try again."""

    def __init__(self, response: Any) -> None:
        super().__init__(message=response.text(), response=response)
        self.headers = response.headers
        self.sub_status = int(response.headers.get("x-ms-substatus") or 0)


@dataclass(slots=True)
class Call:
    """One call of a store: until when it may take (`time.monotonic`), and what it has taken so far."""

    deadline: float
    requests: int = 0
    request_units: float = 0.0
    last_status: int = 0
    clock_offset: float | None = None

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return self.deadline - time.monotonic()

    def note(self, status: int, headers: Mapping[str, str]) -> None:
        """Count one answer of the service."""
        self.last_status = status
        with suppress(KeyError, ValueError):  # neither is worth failing for
            self.request_units += float(headers["x-ms-request-charge"])
        with suppress(KeyError, ValueError):
            self.clock_offset = time.time() - parsedate_to_datetime(headers["date"]).timestamp()


_current: Final = threading.local()


@contextmanager
def call_within(call: Call) -> Iterator[Call]:
    """Everything this thread sends inside is part of the call."""
    _current.call = call
    try:
        yield call
    finally:
        _current.call = None


def _this_call() -> Call | None:
    return getattr(_current, "call", None)


class BoundedTransport(RequestsTransport):  # type: ignore[misc]  # mypy does not see through its lazy export
    """Requests of one account. `max_wait` (seconds) bounds each request of the SDK's own background checks."""

    def __init__(self, *, max_wait: float, verify: bool = True, counted: bool = True) -> None:
        super().__init__()
        self._max_wait = max_wait
        self._verify = verify
        self._counted = counted
        self._closed = False

    def open(self) -> None:
        """Make the session."""
        if not self._has_been_opened:
            session = requests.Session()
            adapter = _Adapter(verify=self._verify)
            for scheme in ("http://", "https://"):
                session.mount(scheme, adapter)
            self.session = session
        if not self._verify:
            warnings.filterwarnings("ignore", category=InsecureRequestWarning)  # asked for by an explicit setting
        super().open()

    def close(self) -> None:
        """Close the sockets; the SDK's background check, should it be at work, ends with an error it expects."""
        self._closed = True
        super().close()

    def send(self, request: Any, *, proxies: Any = None, **kwargs: Any) -> Any:
        """Send one request in what is left of the call's time. Raises AzureError."""
        call = _this_call()
        remaining = self._max_wait if call is None else call.remaining
        if remaining <= 0:
            raise DeadlineError
        if self._closed:
            raise ClosedError("closed")
        # Half of it to connect, as a host may have two addresses and each is tried for that long.
        kwargs["connection_timeout"] = remaining / 2
        kwargs["read_timeout"] = remaining
        # The SDK verifies nothing on localhost; here what is not verified is what a setting says.
        kwargs["connection_verify"] = self._verify
        if call is not None and self._counted:
            call.requests += 1
        try:
            response = super().send(request, proxies=proxies, **kwargs)
        except (ServiceRequestError, ServiceResponseError) as error:
            if call is not None and call.remaining <= 0.01:
                raise DeadlineError from error
            if _asks_for_the_account(request):
                raise UnreachableError(error, error=error) from error
            raise
        except ValueError as error:
            if self._closed:
                raise ClosedError("closed") from error
            raise
        if not any(name in response.headers for name in _FRAMING) and response.status_code not in (204, 304):
            # Cut off within its headers, which http.client takes for an answer that ends with the connection.
            raise ServiceResponseError("the answer broke off in its headers")
        if call is not None and self._counted:
            call.note(response.status_code, response.headers)
            if response.status_code in _RETRIED_BY_SDK and call.remaining < _SDK_PAUSE:
                raise DeadlineError(response.status_code)
        if response.status_code >= 400 and _asks_for_the_account(request):
            raise AccountError(response)
        return response


def _asks_for_the_account(request: Any) -> bool:
    """Whether it is what a client asks when it is made; the SDK would try that four times, whatever the answer."""
    return bool(request.method == "GET" and request.url.rstrip("/").count("/") == 2)


class _Pools(Protocol):
    pool_classes_by_scheme: dict[str, Any]


class _Adapter(HTTPAdapter):
    """The adapter of requests: its connections share one TLS context and keep to the deadline of the call.

    Without a shared context each new TLS connection loads all trusted certificates: tens of milliseconds.
    """

    def __init__(self, *, verify: bool) -> None:
        # A context that verifies refuses to stop verifying, whatever a request asks for.
        self._context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if verify else ssl.CERT_NONE)
        self._authorities: set[str] = set()
        self._loading = threading.Lock()
        super().__init__(max_retries=Retry(total=False, redirect=False, raise_on_status=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        _bound_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        if proxy.lower().startswith("https"):
            kwargs["proxy_ssl_context"] = self._context
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        _bound_pools(manager)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Load the certificates that requests chose into the shared context, once, and not at each connection."""
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
    cast("_Pools", manager).pool_classes_by_scheme = {"http": _BoundHTTPPool, "https": _BoundHTTPSPool}


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
    """A socket whose reader waits, in all, until the deadline of the call that reads."""

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
        call = _this_call()
        if call is not None:
            if call.remaining <= 0:
                raise TimeoutError("the call's time is up")
            self._sock.settimeout(call.remaining)
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()
