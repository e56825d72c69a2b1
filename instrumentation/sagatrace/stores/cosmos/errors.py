"""The SDK's errors as errors of this package. Each is one line that says how to fix it, without a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.cosmos.exceptions import CosmosClientTimeoutError

from sagatrace.errors import StoreAccessError, StoreError, StoreNotFoundError, StoreUnavailableError
from sagatrace.stores.cosmos.address import CosmosAddress
from sagatrace.stores.cosmos.transport import DeadlineError, ForeignAnswerError, UnreachableError, retry_after_of

__all__ = [
    "ACTIVITY",
    "EventRefusedError",
    "ServiceFailedError",
    "answer_was_lost",
    "failure_of",
    "is_passing",
    "translated",
]

ACTIVITY: Final = "activityId"
"""The key under which the results of a batch carry the id of their request."""
_LATER: Final = frozenset({408, 410, 424, 429, 449, 502, 503, 504})
_PARTITION_FULL: Final = 1014
_NO_WRITES_HERE: Final = 3
_NO_SUCH_ACCOUNT: Final = 1008
_SESSION_BEHIND: Final = 1002
_KEYS_DISABLED: Final = 5202
_CONTRIBUTOR: Final = "'Cosmos DB Built-in Data Contributor'"


class EventRefusedError(StoreError):
    """The service received the request and refuses its content. `reason` is the reason to record for an event."""

    def __init__(self, label: str, reason: str) -> None:
        super().__init__(f"{label} refuses the request: {reason}")
        self.reason = reason


class _UnreachableError(StoreUnavailableError):
    """No connection could be made. An immediate retry would fail as well."""


class _UnreadableError(StoreUnavailableError):
    """The SDK could not read the response."""


class ServiceFailedError(StoreUnavailableError):
    """The service failed on this request (500), perhaps because of its content. Other requests may succeed."""


def is_passing(failure: StoreError) -> bool:
    """Return whether the same request may succeed a moment later."""
    return isinstance(failure, StoreUnavailableError) and not isinstance(
        failure, (_UnreachableError, _UnreadableError, ServiceFailedError)
    )


def answer_was_lost(error: BaseException) -> bool:
    """Return whether the service may have executed the request although no response arrived."""
    if isinstance(error, DeadlineError):
        return error.status != 410
    if isinstance(error, (ServiceResponseError, DecodeError, CosmosClientTimeoutError, ForeignAnswerError)):
        return True
    return isinstance(error, HttpResponseError) and error.status_code in (None, 408, 502, 503, 504)


def translated(error: BaseException, address: CosmosAddress, *, max_wait: float, writes: bool = False) -> StoreError:
    """Return the error as one of this package, without a link to the original, which holds the authorization."""
    label = address.label
    if isinstance(error, DeadlineError) and error.status is not None:
        answer = HttpResponseError(message="")
        answer.status_code, answer.headers = error.status, error.headers  # type: ignore[attr-defined]
        return _answered(answer, error.status, address, writes=writes)
    if isinstance(error, ForeignAnswerError):
        return StoreUnavailableError(
            f"{label}: something that is not Cosmos DB answered (status {error.status}): "
            f"check the URL, and HTTPS_PROXY and NO_PROXY for a proxy on the way"
        )
    if isinstance(error, (DeadlineError, CosmosClientTimeoutError)):
        return StoreUnavailableError(
            f"{label} did not answer within {max_wait:g} s: try again, or raise SAGATRACE_MAX_WAIT"
        )
    if isinstance(error, HttpResponseError) and error.status_code:
        return _answered(error, error.status_code, address, writes=writes)
    if isinstance(error, ClientAuthenticationError):
        return StoreAccessError(
            f"{label}: no Azure identity could sign in: run `az login`, give this machine a managed identity, "
            f"or set SAGATRACE_COSMOS_KEY"
        )
    if isinstance(error, (ServiceRequestError, UnreachableError)):
        return _unreachable(error, address)
    if isinstance(error, (ServiceResponseError, DecodeError, AzureError)):
        return StoreUnavailableError(f"{label} broke off its answer ({type(error).__name__}): try again")
    return _UnreadableError(
        f"{label}: the SDK cannot read the answer ({type(error).__name__}: {_said(error, address)}): try again"
    )


def _answered(error: HttpResponseError, status: int, address: CosmosAddress, *, writes: bool) -> StoreError:
    label, sub_status, mark = address.label, _sub_status(error), _mark(error, status)
    if status == 403 and sub_status == _PARTITION_FULL:
        return EventRefusedError(label, f"its trace has reached the limit of 20 GB per trace ({mark})")
    if (
        status in _LATER
        or (status, sub_status) == (404, _SESSION_BEHIND)
        or (status == 403 and sub_status == _NO_WRITES_HERE)
    ):
        what = {429: "is over its throughput", 449: "met another write of the same item"}.get(
            status, "cannot answer now"
        )
        return StoreUnavailableError(f"{label} {what} ({mark}): try again", retry_after=retry_after_of(_headers(error)))
    if status == 500:
        return ServiceFailedError(f"{label} failed on the request ({mark}): {_said(error, address)}")
    if status == 401:
        return _refused_sign_in(error, address)
    if status == 403:
        return _forbidden(error, address, writes=writes)
    if status == 404:
        return StoreNotFoundError(
            f"{label}: there is no database {address.database!r} with a container {address.container!r} ({mark}): "
            f"check the URL, or create them with `sagatrace init`"
        )
    if status in (400, 413):
        reason = "it is too large" if status == 413 else f"the service cannot take it: {_said(error, address)}"
        return EventRefusedError(label, f"{reason} ({mark})")
    return StoreError(f"{label} answered {status}: {_said(error, address)} ({mark})")


def _refused_sign_in(error: HttpResponseError, address: CosmosAddress) -> StoreError:
    mark = _mark(error, 401)
    if _sub_status(error) == _KEYS_DISABLED or "Local Authorization is disabled" in str(error):
        return StoreAccessError(
            f"{address.label} takes no keys, they are disabled ({mark}): unset the key or connection string, "
            f"sign in with `az login` or a managed identity, and assign it the data-plane role {_CONTRIBUTOR}"
        )
    if address.key is None:
        return StoreAccessError(
            f"{address.label} refuses the sign-in token ({mark}), as one that has expired or is for another tenant: "
            f"run `az login` again, or check the machine's identity"
        )
    now = datetime.now(UTC).strftime("%H:%M:%S")
    return StoreAccessError(
        f"{address.label} refuses the account key ({mark}): copy it again from the account's Keys page; "
        f"if it is right, check this machine's clock (it says {now} UTC)"
    )


def _forbidden(error: HttpResponseError, address: CosmosAddress, *, writes: bool) -> StoreError:
    label, text, mark = address.label, str(error.message), _mark(error, 403)
    if _sub_status(error) == _NO_SUCH_ACCOUNT:
        return StoreAccessError(
            f"{label}: the account no longer exists, or not in this region ({mark}): check the URL and the account"
        )
    if re.search(r"(?i)firewall|public internet|virtual network", text):
        return StoreAccessError(
            f"{label} lets no requests in from this network ({mark}): add it under Networking of the account"
        )
    if address.key is None:
        who = re.search(r"principal \[([^\]]*)\]", text)
        action = re.search(r"action \[([^\]]*)\]", text)
        named = f"principal {who[1]}" if who else "the identity"
        wanted = f" for {action[1]}" if action else ""
        return StoreAccessError(
            f"{label}: {named} has no permission{wanted} ({mark}): assign it the data-plane role "
            f"{_CONTRIBUTOR} (Reader suffices for the explorer)"
        )
    if not writes:
        return StoreAccessError(
            f"{label} does not let this key read: {_said(error, address)} ({mark}): "
            f"check the account's settings and the container's"
        )
    return StoreAccessError(
        f"{label}: the key gives no permission for this ({mark}): it is a read-only key, use a read-write one"
    )


def _sub_status(error: HttpResponseError) -> int | None:
    found = str(getattr(error, "sub_status", None) or _headers(error).get("x-ms-substatus"))
    return int(found) if re.fullmatch(r"[0-9]{1,9}", found) else None


def _mark(error: HttpResponseError, status: int) -> str:
    """Return the values that Azure's support needs: status, sub-status and request id."""
    activity = re.sub(r"[^0-9A-Za-z-]", "", str(_headers(error).get("x-ms-activity-id", "")))[:64]
    sub_status = _sub_status(error)
    return f"status {status}{f'/{sub_status}' if sub_status else ''}{f', activity {activity}' if activity else ''}"


def _headers(error: HttpResponseError) -> Mapping[str, Any]:
    return getattr(error, "headers", None) or {}


def _unreachable(error: AzureError, address: CosmosAddress) -> StoreError:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return StoreError(
            f"{address.label} shows a certificate this machine does not trust: "
            f"for an emulator set SAGATRACE_COSMOS_TLS=self-signed"
        )
    if re.search(r"(?i)wrong version number|unknown protocol|record layer|EOF occurred in violation", text):
        return StoreError(
            f"{address.label} does not speak TLS there: for a server without it set SAGATRACE_COSMOS_TLS=off"
        )
    if re.search(r"(?i)NameResolution|getaddrinfo|name or service not known|failed to resolve", text):
        why = "the host's name is unknown: check the URL and this machine's DNS"
    elif re.search(r"(?i)refused", text):
        why = "the connection is refused: is the account's address right, the emulator running?"
    elif re.search(r"(?i)timed out|timeout", text):
        why = "no connection could be made in time: check the network, a firewall or proxy between"
    else:
        why = f"no connection ({_said(error, address)}): check the network, a firewall or proxy between"
    return _UnreachableError(f"{address.label} cannot be reached: {why}")


def failure_of(operation: dict[str, Any], address: CosmosAddress) -> StoreError:
    """Return the error of one operation in the response to a batch."""
    status = int(operation["statusCode"])
    error = HttpResponseError(message=str(operation.get("message") or "refused in a batch"))
    error.status_code = status
    error.sub_status = operation.get("subStatusCode")  # type: ignore[attr-defined]
    error.headers = {  # type: ignore[attr-defined]
        "x-ms-activity-id": operation.get(ACTIVITY, ""),
        "x-ms-retry-after-ms": operation.get("retryAfterMilliseconds"),
    }
    return _answered(error, status, address, writes=True)


_SECRETS: Final = re.compile(r"(?i)((?:sig|signature|accountkey|authorization|bearer|token)\W{1,3})[^\s\"',;&}]+")


def _said(error: BaseException, address: CosmosAddress) -> str:
    """Return the first line of the error's text, bounded and without secrets."""
    text = str(getattr(error, "http_error_message", None) or error)
    if address.key:
        text = text.replace(address.key, "***")
    text = _SECRETS.sub(r"\1***", text)
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    line = " ".join((found[1] if found else text).split())
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return line if len(line) <= 200 else f"{line[:200]}…"
