"""The HTTP transport under the SDK, with one deadline for a whole call, and a count of its cost.

The SDK limits single waits, not their sum. A connection attempt, each read, each retry and each pause has its own
limit. So this transport, which is below all of them, keeps the deadline.
"""

from __future__ import annotations

import http.client
import io
import ssl
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast

import requests
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util import create_urllib3_context

from sagatrace.stores.cosmos.call import Call, this_call

__all__ = ["BoundedTransport", "DeadlineError", "ForeignAnswerError", "UnreachableError", "retry_after_of"]

_MOST_KEPT: Final = 32  # connections; a shipper uses half of them. Further requests open extra connections.
_SDK_PAUSE: Final = 1.1  # seconds: a little more than the longest pause of the SDK before its own retry
_LONGEST_PAUSE: Final = 600.0  # seconds: a wrong header must not stop delivery for days
_FRAMING: Final = ("content-length", "transfer-encoding")
_RETRIED_BY_SDK: Final = frozenset({403, 408, 410, 500, 502, 503, 504})
_SUCCESSES: Final = frozenset({200, 201, 204, 207, 304})
_OF_ANY_SERVER: Final = frozenset({401, 403, 408, 413, 429})  # these and 5xx mean the same from any server


class DeadlineError(AzureError):
    """The call's deadline has passed."""


class ForeignAnswerError(AzureError):
    """A response from another server, such as a proxy, a gateway or a login page."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status} from something that is not Cosmos DB")
        self.status = status


class UnreachableError(AzureError):
    """The account's address did not respond. The SDK does not know this error, so it does not retry."""


class _FinalError(HttpResponseError):
    """An error response. The SDK would retry its own error type, but not this one."""

    def __init__(self, response: Any) -> None:
        super().__init__(message=response.text(), response=response)
        self.headers = response.headers


class BoundedTransport(RequestsTransport):  # type: ignore[misc]  # mypy does not see through its lazy export
    """Send the requests of one account. `max_wait` (seconds) bounds each request of the SDK's background checks."""

    def __init__(self, *, max_wait: float, verify: bool = True, counted: bool = True) -> None:
        session = requests.Session()
        adapter = _BoundedAdapter(verify=verify)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        super().__init__(session=session, session_owner=True)
        self._max_wait = max_wait
        self._verify = verify
        self._counted = counted
        self._closed = False
        self._in_background = threading.Lock()  # held during a request of the SDK's own threads
        if not verify:
            warnings.filterwarnings("ignore", category=InsecureRequestWarning)  # asked for by an explicit setting

    def close(self) -> None:
        """Close the sockets, and wait at most `max_wait` seconds for the SDK's background check to end.

        A running check ends with an error that the SDK expects. So no fork copies it in the middle of a request.
        """
        self._closed = True
        super().close()
        if self._in_background.acquire(timeout=self._max_wait):
            self._in_background.release()

    def send(self, request: Any, *, proxies: Any = None, **kwargs: Any) -> Any:
        """Send one request in the remaining time of the call. Raises AzureError."""
        call = this_call()
        remaining = self._max_wait if call is None else call.remaining
        if remaining <= 0:
            raise DeadlineError("the call's time is up")
        # Half of it to connect: a host may have two addresses, and each is tried for that long.
        kwargs["connection_timeout"] = remaining / 2
        kwargs["read_timeout"] = remaining
        # The SDK does not verify on localhost. Here only the setting decides.
        kwargs["connection_verify"] = self._verify
        if call is None:
            with self._in_background:
                return self._sent(request, proxies, None, **kwargs)
        if not self._counted:
            return self._sent(request, proxies, call, **kwargs)
        call.requests += 1
        call.sent_items = call.sent_items or "/docs" in request.url
        response = self._sent(request, proxies, call, **kwargs)
        call.note(response.status_code, response.headers)
        if _is_final(request, response, call):
            raise _FinalError(response)
        return response

    def _sent(self, request: Any, proxies: Any, call: Call | None, **kwargs: Any) -> Any:
        try:
            if not self._closed:
                return self._checked(super().send(request, proxies=proxies, **kwargs))
        except (ServiceRequestError, ServiceResponseError) as error:
            if call is not None and call.remaining <= 0.01:
                raise DeadlineError("the call's time is up") from error
            if _asks_for_the_account(request):
                raise UnreachableError(error, error=error) from error
            raise
        except ValueError:
            if not self._closed:
                raise
        raise AzureError("this process has closed the connection")

    def _checked(self, response: Any) -> Any:
        """Return the response. Raises AzureError if it broke off, or came from another server."""
        status, headers = response.status_code, response.headers
        if not any(name in headers for name in _FRAMING) and status not in (204, 304):
            # It broke off in its headers. http.client takes that for a body that ends with the connection.
            raise ServiceResponseError("the response broke off in its headers")
        if not self._counted:  # it is from the identity service
            return response
        is_service = any(name.lower().startswith("x-ms-") for name in headers)
        if (status < 400 and not (is_service and status in _SUCCESSES)) or (
            400 <= status < 500 and not is_service and status not in _OF_ANY_SERVER
        ):
            raise ForeignAnswerError(status)
        return response


def retry_after_of(headers: Mapping[str, Any]) -> float | None:
    """Return the seconds that a response asks to wait, at most ten minutes. Return None if it names no time."""
    for name, unit in (("x-ms-retry-after-ms", 1000), ("Retry-After", 1)):
        with suppress(KeyError, TypeError, ValueError):
            return min(max(0.0, float(headers[name]) / unit), _LONGEST_PAUSE)
    return None


def _is_final(request: Any, response: Any, call: Call) -> bool:
    """Return whether the SDK must not retry, because its pauses or number of retries would be wrong."""
    if response.status_code == 429:
        wait = retry_after_of(response.headers)
        if wait is None or wait >= call.remaining:
            return True
    return response.status_code >= 400 and (
        _asks_for_the_account(request) or (response.status_code in _RETRIED_BY_SDK and call.remaining < _SDK_PAUSE)
    )


def _asks_for_the_account(request: Any) -> bool:
    """Return whether a new client requests its account. The SDK would send this request four times."""
    return bool(request.method == "GET" and request.url.rstrip("/").count("/") == 2)


class _BoundedAdapter(HTTPAdapter):
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
        return _bound_pools(super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs))

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


def _bound_pools(manager: PoolManager) -> PoolManager:
    manager.pool_classes_by_scheme = {"http": _BoundHTTPPool, "https": _BoundHTTPSPool}
    return manager


class _BoundReader(io.RawIOBase):
    """The bytes of a response. Each read waits at most until the deadline of the current call."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw

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


class _BoundResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundReader(sock, self.fp.detach()), 65536)


class _BoundHTTPConnection(HTTPConnection):
    response_class = _BoundResponse


class _BoundHTTPSConnection(HTTPSConnection):
    response_class = _BoundResponse


class _BoundHTTPPool(HTTPConnectionPool):
    ConnectionCls = _BoundHTTPConnection  # pyright: ignore[reportAssignmentType]  # its own subclass


class _BoundHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundHTTPSConnection  # pyright: ignore[reportAssignmentType]
