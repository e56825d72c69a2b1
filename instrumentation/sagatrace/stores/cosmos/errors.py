"""Translate the SDK's errors to errors of this package. Each is one line with a way to fix it, without a secret."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from sagatrace.errors import StoreAccessError, StoreError, StoreNotFoundError, StoreUnavailableError
from sagatrace.stores.cosmos.address import CosmosAddress
from sagatrace.stores.cosmos.call import EventRefusedError
from sagatrace.stores.cosmos.transport import DeadlineError, ForeignAnswerError, UnreachableError, retry_after_of

__all__ = ["ServiceFailedError", "answer_was_lost", "failure_of", "pause_before_retry", "translated"]

_FIRST_PAUSE: Final = 0.05  # seconds before the second attempt when the service names no time
_CONTRIBUTOR: Final = "'Cosmos DB Built-in Data Contributor'"
_SECRETS: Final = re.compile(r"(?i)((?:sig|signature|accountkey|authorization|bearer|token)\W{1,3})[^\s\"',;&}]+")


class _NoRetryError(StoreUnavailableError):
    """An immediate retry would fail as well: no connection could be made, or the SDK cannot read the response."""


class ServiceFailedError(_NoRetryError):
    """The service failed on this request (500), perhaps because of the content. Other requests may succeed."""


def pause_before_retry(failure: StoreError, attempt: int) -> float | None:
    """Return the seconds to wait before a retry within the call; None if a retry cannot help.

    An unreachable host gives None. The caller decides whether to wait for the network.
    """
    if not isinstance(failure, StoreUnavailableError) or isinstance(failure, _NoRetryError):
        return None
    if failure.retry_after is not None:
        return failure.retry_after
    return random.uniform(0.5, 1.0) * _FIRST_PAUSE * 2.0 ** min(attempt, 5)  # noqa: S311 - no secret


def answer_was_lost(error: BaseException) -> bool:
    """Return whether the service may have executed the request although no response arrived."""
    if isinstance(error, HttpResponseError):
        return error.status_code in (None, 408, 502, 503, 504)
    return isinstance(error, (DeadlineError, ServiceResponseError, DecodeError, ForeignAnswerError))


@dataclass(frozen=True, slots=True)
class _Answer:
    """An error response of the service, or the result of one operation of a batch."""

    status: int
    sub_status: int | None
    message: str
    headers: Mapping[str, Any]

    @classmethod
    def of(cls, error: HttpResponseError, status: int) -> Self:
        headers = getattr(error, "headers", None) or {}
        sub_status = getattr(error, "sub_status", None) or headers.get("x-ms-substatus")
        message = str(getattr(error, "http_error_message", None) or error)
        return cls(status, _number(sub_status), message, headers)

    @property
    def mark(self) -> str:
        """The values for a support request to Azure: status, sub-status and request id."""
        activity = re.sub(r"[^0-9A-Za-z-]", "", str(self.headers.get("x-ms-activity-id", "")))[:64]
        status = f"{self.status}/{self.sub_status}" if self.sub_status else f"{self.status}"
        return f"status {status}, activity {activity}" if activity else f"status {status}"


def failure_of(operation: Mapping[str, Any], headers: Mapping[str, Any], address: CosmosAddress) -> StoreError:
    """Return the error of one operation in a batch response. `headers` are those of the response."""
    wait = {"x-ms-retry-after-ms": operation.get("retryAfterMilliseconds")}
    message = str(operation.get("message") or "refused in a batch")
    answer = _Answer(
        int(operation["statusCode"]), _number(operation.get("subStatusCode")), message, {**headers, **wait}
    )
    return _answered(answer, address, writes=True)


def translated(error: BaseException, address: CosmosAddress, *, max_wait: float, writes: bool = False) -> StoreError:
    """Return the error as one of this package. It has no link to the original, which holds the authorization."""
    label = address.label
    if isinstance(error, ForeignAnswerError):
        return StoreUnavailableError(
            f"{label}: something that is not Cosmos DB answered (status {error.status}): "
            f"check the URL, and HTTPS_PROXY and NO_PROXY for a proxy on the way"
        )
    if isinstance(error, DeadlineError):
        return StoreUnavailableError(
            f"{label} did not answer within {max_wait:g} s: try again, or raise SAGATRACE_MAX_WAIT"
        )
    if isinstance(error, HttpResponseError) and error.status_code:
        return _answered(_Answer.of(error, error.status_code), address, writes=writes)
    if isinstance(error, ClientAuthenticationError):
        return StoreAccessError(
            f"{label}: no Azure identity could sign in: run `az login`, give this machine a managed identity, "
            f"or set SAGATRACE_COSMOS_KEY"
        )
    if isinstance(error, (ServiceRequestError, UnreachableError)):
        return _unreachable(str(error), address)
    if isinstance(error, AzureError):
        return StoreUnavailableError(f"{label} broke off its answer ({type(error).__name__}): try again")
    said = f"{type(error).__name__}: {_shown(str(error), address)}"
    return _NoRetryError(f"{label}: the SDK cannot read the answer ({said}): try again")


def _answered(answer: _Answer, address: CosmosAddress, *, writes: bool) -> StoreError:
    label, mark, said = address.label, answer.mark, _shown(answer.message, address)
    match answer.status, answer.sub_status:
        case 403, 1014:
            return EventRefusedError(label, f"the trace has reached the limit of 20 GB ({mark})")
        # 404/1002: this replica does not have the session's data yet. 403/3: this region accepts no writes.
        case (408 | 410 | 424 | 429 | 449 | 502 | 503 | 504, _) | (404, 1002) | (403, 3):
            trouble = {429: "is over its throughput", 449: "met another write of the same item"}
            text = f"{label} {trouble.get(answer.status, 'cannot answer now')} ({mark}): try again"
            return StoreUnavailableError(text, retry_after=retry_after_of(answer.headers))
        case 500, _:
            return ServiceFailedError(f"{label} failed on the request ({mark}): {said}")
        case 401, _:
            return StoreAccessError(f"{label} {_refused_sign_in(answer, address)}")
        case 403, _:
            return StoreAccessError(f"{label}{_forbidden(answer, address, writes=writes)}")
        case 404, _:
            return StoreNotFoundError(
                f"{label}: there is no database {address.database!r} with a container {address.container!r} ({mark}): "
                f"check the URL, or create them with `sagatrace init`"
            )
        case 400 | 413, _:
            reason = "it is too large" if answer.status == 413 else f"the service cannot take it: {said}"
            return EventRefusedError(label, f"{reason} ({mark})")
    return StoreError(f"{label} answered {answer.status}: {said} ({mark})")


def _refused_sign_in(answer: _Answer, address: CosmosAddress) -> str:
    if answer.sub_status == 5202 or "Local Authorization is disabled" in answer.message:
        return (
            f"takes no keys, they are disabled ({answer.mark}): unset the key or connection string, "
            f"sign in with `az login` or a managed identity, and assign it the data-plane role {_CONTRIBUTOR}"
        )
    if address.key is None:
        return (
            f"refuses the sign-in token ({answer.mark}), as one that has expired or is for another tenant: "
            f"run `az login` again, or check the machine's identity"
        )
    return (
        f"refuses the account key ({answer.mark}): copy it again from the account's Keys page; "
        f"if it is right, check this machine's clock (it says {datetime.now(UTC):%H:%M:%S} UTC)"
    )


def _forbidden(answer: _Answer, address: CosmosAddress, *, writes: bool) -> str:
    text, mark = answer.message, answer.mark
    if answer.sub_status == 1008:
        return f": the account no longer exists, or not in this region ({mark}): check the URL and the account"
    if re.search(r"(?i)firewall|public internet|virtual network", text):
        return f" lets no requests in from this network ({mark}): add it under Networking of the account"
    if address.key is None:
        who = re.search(r"principal \[([^\]]*)\]", text)
        action = re.search(r"action \[([^\]]*)\]", text)
        named = f"principal {who[1]}" if who else "the identity"
        wanted = f" for {action[1]}" if action else ""
        return (
            f": {named} has no permission{wanted} ({mark}): assign it the data-plane role "
            f"{_CONTRIBUTOR} (Reader suffices for the explorer)"
        )
    if writes:
        return f": the key gives no permission for this ({mark}): it is a read-only key, use a read-write one"
    said = f"does not let this key read: {_shown(text, address)} ({mark})"
    return f" {said}: check the account's settings and the container's"


def _unreachable(text: str, address: CosmosAddress) -> StoreError:
    if re.search(r"(?i)certificate.verify.failed", text):
        return StoreError(
            f"{address.label} shows a certificate this machine does not trust: "
            f"for an emulator set SAGATRACE_COSMOS_TLS=self-signed"
        )
    if re.search(r"(?i)wrong version number|unknown protocol|record layer|EOF occurred in violation", text):
        return StoreError(
            f"{address.label} answers without TLS: for an emulator without TLS set SAGATRACE_COSMOS_TLS=off"
        )
    if re.search(r"(?i)NameResolution|getaddrinfo|name or service not known|failed to resolve", text):
        why = "the host's name is unknown: check the URL and this machine's DNS"
    elif re.search(r"(?i)refused", text):
        why = "the connection is refused: is the account's address right, the emulator running?"
    elif re.search(r"(?i)timed out|timeout", text):
        why = "no connection could be made in time: check the network, a firewall or proxy between"
    else:
        why = f"no connection ({_shown(text, address)}): check the network, a firewall or proxy between"
    return _NoRetryError(f"{address.label} cannot be reached: {why}")


def _number(value: Any) -> int | None:
    return int(value) if re.fullmatch(r"[0-9]{1,9}", str(value)) else None


def _shown(text: str, address: CosmosAddress) -> str:
    """Return the first line of a message, bounded and without secrets."""
    if address.key:
        text = text.replace(address.key, "***")
    text = _SECRETS.sub(r"\1***", text)
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    line = " ".join((found[1] if found else text).split())
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)
    return line if len(line) <= 200 else f"{line[:200]}…"
