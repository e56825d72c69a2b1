"""The HTTP under the SDK, with a deadline over everything one call does, and a count of what it cost.

The SDK bounds single waits, not their sum: a connection attempt, a read, its own retries and the sleeps between
them each have limits of their own, and a server that sends one byte a second never meets any. So the deadline is
kept here, below all of them.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import requests
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from urllib3.exceptions import InsecureRequestWarning

from sagatrace.stores.cosmos.call import Call, this_call
from sagatrace.stores.cosmos.sockets import BoundedAdapter

__all__ = [
    "BoundedTransport",
    "DeadlineError",
    "ForeignAnswerError",
    "UnreachableError",
    "retry_after_of",
]

_SDK_PAUSE: Final = 1.1  # seconds: the longest the SDK sleeps before a retry of its own, and a little
_FRAMING: Final = ("content-length", "transfer-encoding")
_RETRIED_BY_SDK: Final = frozenset({408, 410, 500, 502, 503, 504})
_RETRIED_FORBIDDEN: Final = frozenset({"3", "1008"})  # a region that takes no writes, or is not the account's
_SUCCESSES: Final = frozenset({200, 201, 204, 207, 304})
_OF_ANYBODY: Final = frozenset({401, 403, 408, 413, 429})  # with 5xx: they mean the same, whoever answers


class DeadlineError(AzureError):
    """The call's time is up; `status` and `headers` are the service's last answer, None and empty without one."""

    def __init__(self, status: int | None = None, headers: Mapping[str, Any] | None = None) -> None:
        super().__init__("the call's time is up")
        self.status = status
        self.headers = headers or {}


class ForeignAnswerError(AzureError):
    """An answer that is not the service's: a proxy, a gateway or a login page on the way gave it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status} from something that is not Cosmos DB")
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


class BoundedTransport(RequestsTransport):  # type: ignore[misc]  # mypy does not see through its lazy export
    """Requests of one account. `max_wait` (seconds) bounds each request of the SDK's own background checks."""

    def __init__(self, *, max_wait: float, verify: bool = True, counted: bool = True) -> None:
        session = requests.Session()
        adapter = BoundedAdapter(verify=verify)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        super().__init__(session=session, session_owner=True)
        self._max_wait = max_wait
        self._verify = verify
        self._counted = counted
        self._closed = False
        self._background = 0  # requests of the SDK's own threads under way
        self._changed = threading.Condition()
        if not verify:
            warnings.filterwarnings("ignore", category=InsecureRequestWarning)  # asked for by an explicit setting

    def close(self) -> None:
        """Close the sockets; the SDK's background check, should it be at work, ends with an error it expects.

        Wait until it has, for `max_wait` seconds at most, so that no fork copies it in the middle of a request.
        """
        self._closed = True
        super().close()
        with self._changed:
            self._changed.wait_for(lambda: not self._background, self._max_wait)

    def send(self, request: Any, *, proxies: Any = None, **kwargs: Any) -> Any:
        """Send one request in what is left of the call's time. Raises AzureError."""
        call = this_call()
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
        if call is None:
            with self._in_background():
                return self._checked(self._sent(request, proxies, None, **kwargs))
        if self._counted:
            call.requests += 1
            call.sent_items = call.sent_items or "/docs" in request.url
        response = self._checked(self._sent(request, proxies, call, **kwargs))
        if self._counted:
            call.note(response.status_code, response.headers)
            _end_in_time(response, call)
        if response.status_code >= 400 and _asks_for_the_account(request):
            raise AccountError(response)
        return response

    @contextmanager
    def _in_background(self) -> Iterator[None]:
        with self._changed:
            self._background += 1
        try:
            yield
        finally:
            with self._changed:
                self._background -= 1
                self._changed.notify_all()

    def _sent(self, request: Any, proxies: Any, call: Call | None, **kwargs: Any) -> Any:
        try:
            return super().send(request, proxies=proxies, **kwargs)
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

    def _checked(self, response: Any) -> Any:
        """Return the answer. Raises AzureError for one that broke off, or that is not the service's."""
        status, headers = response.status_code, response.headers
        if not any(name in headers for name in _FRAMING) and status not in (204, 304):
            # Cut off within its headers, which http.client takes for an answer that ends with the connection.
            raise ServiceResponseError("the answer broke off in its headers")
        if not self._counted:  # of the identity service
            return response
        is_service = any(name.lower().startswith("x-ms-") for name in headers)
        if (status < 400 and not (is_service and status in _SUCCESSES)) or (
            400 <= status < 500 and not is_service and status not in _OF_ANYBODY
        ):
            raise ForeignAnswerError(status)
        return response


def retry_after_of(headers: Mapping[str, Any]) -> float | None:
    """Return the seconds that an answer asks to wait; None when it names none."""
    for name, unit in (("x-ms-retry-after-ms", 1000), ("Retry-After", 1)):
        with suppress(KeyError, ValueError):
            return max(0.0, float(headers[name]) / unit)
    return None


def _end_in_time(response: Any, call: Call) -> None:
    """Raise DeadlineError where the SDK would wait past the end of the call, or ask again without waiting."""
    if response.status_code == 429:
        wait = retry_after_of(response.headers)
        if wait is None or wait >= call.remaining:
            raise DeadlineError(429, response.headers)
    elif call.remaining < _SDK_PAUSE and (
        response.status_code in _RETRIED_BY_SDK
        or (response.status_code == 403 and response.headers.get("x-ms-substatus") in _RETRIED_FORBIDDEN)
    ):
        raise DeadlineError(response.status_code, response.headers)


def _asks_for_the_account(request: Any) -> bool:
    """Whether it is what a client asks when it is made; the SDK would try that four times, whatever the answer."""
    return bool(request.method == "GET" and request.url.rstrip("/").count("/") == 2)
