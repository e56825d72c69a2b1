"""Access to an account: each error is one line with its fix, and no output, log line or error holds a secret."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.cosmos.exceptions import CosmosHttpResponseError

from cosmos_server import CosmosAccount
from fault_proxy import Fault, FaultProxy, answering, cut_short, dropping
from sagatrace.errors import SagatraceError, StoreAccessError, StoreError, StoreNotFoundError, StoreUnavailableError
from sagatrace.event import new_event
from sagatrace.stores import Search, open_store
from sagatrace.stores.cosmos.errors import translated
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosAddress, CosmosStore

KEY = base64.b64encode(bytes(range(7, 71))).decode()
TOKEN = "eyJ0b2tlbiI6Im9mIHRoZSB0ZXN0cyJ9.c2lnbmF0dXJl"  # noqa: S105 - gives access to nothing


class Identity:
    """A credential, like those of azure-identity: it returns a token, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked = 0

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return AccessToken(TOKEN, int(time.time()) + 3600)


def test_an_identity_gives_the_same_access_as_a_key(tls_account: CosmosAccount) -> None:
    with tls_account.store() as keyed:
        known = keyed.address
        address = CosmosAddress(known.host, known.database, known.container, tls="self-signed")
        identity = Identity()
        store = CosmosStore(address, credential=identity, max_wait=60)
        assert store.append([new_event(trace_id="T", span_id="S", event_type="x")]) == 1
        assert len(store.fetch_trace("T").events) == 1
        assert identity.asked >= 1
        store.close()


def test_the_error_of_a_failed_sign_in_gives_the_fix(tls_account: CosmosAccount) -> None:
    address = CosmosAddress(tls_account.host, "d", "c", tls="self-signed")
    store = CosmosStore(
        address, credential=Identity(ClientAuthenticationError("AADSTS700082: expired\nmany lines")), max_wait=60
    )
    with pytest.raises(StoreAccessError, match="run `az login`") as caught:
        store.fetch_trace("T")
    assert "\n" not in str(caught.value)


def test_a_machine_without_an_identity_gets_an_error_in_time(tls_account: CosmosAccount) -> None:
    program = (
        "import sys, time\n"
        "from sagatrace.stores import open_store\n"
        "from sagatrace.errors import SagatraceError\n"
        "store = open_store(sys.argv[1], max_wait=2)\n"
        "began = time.monotonic()\n"
        "try: store.fetch_trace('T')\n"
        "except SagatraceError as error: print(f'{time.monotonic() - began:.1f}', type(error).__name__, error)\n"
        "store.close()\n"
    )
    bare = {"PATH": "/nowhere", "HOME": "/nowhere", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(
        [sys.executable, "-c", program, f"cosmos://{tls_account.host}/d/c"],
        capture_output=True,
        text=True,
        timeout=60,
        env=bare,
    )
    took, kind, said = done.stdout.split(" ", 2)
    assert float(took) < 20.0  # ten times `max_wait`
    assert kind in ("StoreAccessError", "StoreUnavailableError"), done.stderr
    assert "az login" in said or "SAGATRACE_MAX_WAIT" in said
    assert said.count("\n") == 1


def answered(status: int, message: str, sub_status: int | None = None, **headers: str) -> CosmosHttpResponseError:
    error = CosmosHttpResponseError(status_code=status, message=message)
    error.sub_status = sub_status
    error.headers = headers
    return error


RBAC = (
    "Request blocked by Auth acme : Request is blocked because principal [1-2] does not have required RBAC permissions "
    "to perform action [Microsoft.DocumentDB/databaseAccounts/readMetadata] on resource [/]."
)
ID: dict[str, Any] = {"x-ms-activity-id": "0a1b-2c3d"}


@pytest.mark.parametrize(
    ("error", "key", "kind", "said"),
    [
        (
            answered(401, "The input authorization token can't serve the request"),
            KEY,
            StoreAccessError,
            "copy it again",
        ),
        (answered(401, "The access token has expired"), None, StoreAccessError, "has expired"),
        (answered(403, RBAC, 5300), None, StoreAccessError, "'Cosmos DB Built-in Data Contributor'"),
        (
            answered(403, RBAC, 5302, **ID),
            None,
            StoreAccessError,
            (
                "principal 1-2 has no permission for Microsoft.DocumentDB/databaseAccounts/readMetadata "
                "(status 403/5302, activity 0a1b-2c3d)"
            ),
        ),
        (
            answered(401, "Local Authorization is disabled. Use an AAD token to authorize all requests.", 5202, **ID),
            KEY,
            StoreAccessError,
            "takes no keys, they are disabled (status 401/5202, activity 0a1b-2c3d): unset the key",
        ),
        (answered(403, "Database Account acme does not exist", 1008), KEY, StoreAccessError, "no longer exists"),
        (
            answered(429, "Request rate is large", 3200, **ID),
            KEY,
            StoreUnavailableError,
            "(status 429/3200, activity 0a1b",
        ),
        (answered(503, "busy", 21002, **ID), KEY, StoreUnavailableError, "(status 503/21002, activity 0a1b-2c3d)"),
        (answered(500, "odd", **ID), KEY, StoreUnavailableError, "(status 500, activity 0a1b-2c3d)"),
        (answered(413, "large", **ID), KEY, StoreError, "(status 413, activity 0a1b-2c3d)"),
        (
            answered(404, "gone", 1003, **{"x-ms-activity-id": "0a\n\x1b[31m"}),
            KEY,
            StoreNotFoundError,
            "activity 0a31m)",
        ),
        (
            answered(403, f"Service \x1b[31mis switched off for {KEY}\u202e"),
            KEY,
            StoreAccessError,
            "does not let this key read: Service \ufffd[31mis switched off for ***\ufffd",
        ),
        (answered(403, "blocked by your Cosmos DB account firewall settings"), KEY, StoreAccessError, "Networking"),
        (answered(403, "write forbidden", 3), KEY, StoreUnavailableError, "try again"),
        (answered(403, "partition full", 1014), KEY, StoreError, "20 GB"),
        (answered(404, "Owner resource does not exist", 1003), KEY, StoreNotFoundError, "sagatrace init"),
        (answered(404, "The read session is not available", 1002), KEY, StoreUnavailableError, "try again"),
        (answered(413, "Request size is too large"), KEY, StoreError, "too large"),
        (answered(400, f'{{"code":"x","message":"odd {KEY} thing"}}'), KEY, StoreError, "odd *** thing"),
        (answered(418, "Authorization: sig=abc%2Fdef"), KEY, StoreError, "answered 418"),
        (ClientAuthenticationError("no\nlogin"), None, StoreAccessError, "az login"),
        (ValueError("weird"), KEY, StoreError, "ValueError: weird"),
    ],
)
def test_each_error_of_the_service_becomes_one_line_with_the_fix(
    error: Exception, key: str | None, kind: type[StoreError], said: str
) -> None:
    address = CosmosAddress("acme.documents.azure.com", "d", "c", key)
    failure = translated(error, address, max_wait=5)
    assert isinstance(failure, kind)
    assert said in str(failure)
    assert "\n" not in str(failure)
    assert KEY not in str(failure)
    assert "abc%2Fdef" not in str(failure)


def test_only_a_forbidden_write_asks_for_another_key() -> None:
    address = CosmosAddress("acme.documents.azure.com", "d", "c", KEY)
    error = answered(403, "… is insufficient for the operation")
    assert "use a read-write one" in str(translated(error, address, max_wait=5, writes=True))
    read = str(translated(error, address, max_wait=5))
    assert "is insufficient for the operation" in read
    assert "read-write" not in read


def test_the_error_for_an_unknown_host_says_what_to_check() -> None:
    store = CosmosStore(CosmosAddress("no-such-account.invalid", "d", "c", KEY), max_wait=3)
    with pytest.raises(StoreUnavailableError, match=r"the host's name is unknown|no connection came about"):
        store.fetch_trace("T")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return everything that was logged, at any level, and printed so far."""
    caplog.set_level(logging.DEBUG)
    for name in ("azure", "azure.core", "azure.cosmos", "azure.identity", "urllib3", "requests", "sagatrace"):
        caplog.set_level(logging.DEBUG, name)

    def all_of_it() -> str:
        out, err = capfd.readouterr()
        records = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        return "\n".join([out, err, *records])

    return all_of_it


def text_of(error: BaseException) -> str:
    """Return the text of an error: its chain, and the locals of every frame that it passed."""
    parts = traceback.format_exception(error)
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        parts += [repr(current), str(current), repr(vars(current))]
        pending += [current.__cause__, current.__context__]
        step = current.__traceback__
        while step is not None:
            if "/tests/" not in step.tb_frame.f_code.co_filename:
                parts += [f"{name}={value!r}" for name, value in step.tb_frame.f_locals.items()]
            step = step.tb_next
    return "\n".join(parts)


def needles() -> list[str]:
    """Return the key and the texts derived from it."""
    raw = base64.b64decode(KEY)
    pieces = [KEY[i : i + 12] for i in range(0, len(KEY) - 12, 4)]
    return [
        *pieces,
        base64.b64encode(KEY.encode()).decode()[:24],
        raw.hex()[:24],
        repr(raw)[2:40],
        TOKEN,
        "sig%3d",
        "sig=",
    ]


def assert_no_secret(text: str) -> None:
    for needle in needles():
        assert needle not in text, needle


@pytest.mark.parametrize(
    "fault",
    [
        None,
        answering(401),
        answering(403),
        answering(400, message="odd"),
        answering(500),
        dropping(after=True),
        cut_short,
    ],
)
def test_no_error_shows_a_secret(
    local_account: CosmosAccount, said: Callable[[], str], monkeypatch: pytest.MonkeyPatch, fault: Fault | None
) -> None:
    address = local_account.address()
    provision(address, max_wait=60)
    printed: list[str] = []
    with FaultProxy(local_account.host) as proxy:
        proxy.fault = fault
        monkeypatch.setenv(
            "SAGATRACE_COSMOS_CONNECTION_STRING", f"AccountEndpoint=http://127.0.0.1:{proxy.port}/;AccountKey={KEY};"
        )
        monkeypatch.setenv("SAGATRACE_COSMOS_TLS", "off")
        for container in (address.container, "missing"):
            store = open_store(f"cosmos:///tests/{container}", max_wait=1)
            for call in (
                lambda s=store: s.append([new_event(trace_id="T", span_id="S", event_type="x") for _ in range(3)]),
                lambda s=store: s.fetch_trace("T"),
                lambda s=store: s.search(Search(error="x")),
            ):
                try:
                    printed.append(repr(call()))
                except SagatraceError as error:
                    printed.append(text_of(error))
            printed.append(f"{store.label} {store!r}")
            store.close()
        proxy.refuse()
        try:
            store.fetch_trace("T")
        except StoreUnavailableError as error:
            printed.append(text_of(error))
        store.close()
    everything = said() + "\n".join(printed)
    assert "127.0.0.1" in everything
    assert_no_secret(everything)


def test_the_search_for_secrets_of_this_file_finds_them() -> None:
    for secret in (KEY, KEY[9:40], TOKEN, f"AccountKey={KEY}", "type=master&ver=1.0&sig=x"):
        with pytest.raises(AssertionError):
            assert_no_secret(f"… {secret} …")
