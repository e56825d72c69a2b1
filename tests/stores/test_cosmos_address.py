"""The address of a Cosmos DB store and its settings: URLs, keys and TLS."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from cosmos_server import CosmosAccount
from sagatrace.errors import SettingsError, StoreError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import open_store
from sagatrace.stores.cosmos.store import CosmosAddress, CosmosStore, parse_address

KEY = "c2VjcmV0IGtleSBvZiB0aGUgdGVzdHM="


CONNECTION = f"AccountEndpoint=https://acme.documents.azure.com:443/;AccountKey={KEY};"


def event(trace_id: str = "T", **fields: Any) -> TraceEvent:
    return new_event(**{"trace_id": trace_id, "span_id": "S", "event_type": "stage:x:started", **fields})


@pytest.mark.parametrize(
    ("url", "environ", "address"),
    [
        ("cosmos://h/d/c", {}, CosmosAddress("h", "d", "c")),
        (
            "cosmos://h:8081/d/c/",
            {"SAGATRACE_COSMOS_KEY": KEY, "SAGATRACE_COSMOS_TLS": "off"},
            CosmosAddress("h:8081", "d", "c", KEY, "off"),
        ),
        (" COSMOS://h/d/c ", {}, CosmosAddress("h", "d", "c")),
        (
            "cosmos:///d/c",
            {"SAGATRACE_COSMOS_CONNECTION_STRING": f" accountendpoint = https://h ; ACCOUNTKEY={KEY} "},
            CosmosAddress("h", "d", "c", KEY),
        ),
        (
            "cosmos:///d/c",
            {
                "SAGATRACE_COSMOS_CONNECTION_STRING": f"AccountEndpoint=http://10.0.0.5:8081/;AccountKey={KEY}",
                "SAGATRACE_COSMOS_TLS": "off",
            },
            CosmosAddress("10.0.0.5:8081", "d", "c", KEY, "off"),
        ),
        (
            "cosmos://h/d/c",
            {"SAGATRACE_COSMOS_REGIONS": " West Europe, North Europe,", "SAGATRACE_COSMOS_CONSISTENCY": "eventual"},
            CosmosAddress("h", "d", "c", regions=("West Europe", "North Europe"), consistency="Eventual"),
        ),
        ("cosmos://[::1]:81/d/c", {}, CosmosAddress("[::1]:81", "d", "c")),
        ("cosmos://h/my%20d/%C3%A9", {}, CosmosAddress("h", "my d", "é")),
        (
            "cosmos:///d/c",
            {"SAGATRACE_COSMOS_CONNECTION_STRING": CONNECTION},
            CosmosAddress("acme.documents.azure.com", "d", "c", KEY),
        ),
        (
            "cosmos://ACME.documents.azure.com/d/c",
            {"SAGATRACE_COSMOS_CONNECTION_STRING": CONNECTION},
            CosmosAddress("acme.documents.azure.com", "d", "c", KEY),
        ),
    ],
)
def test_a_url_names_host_database_and_container(url: str, environ: dict[str, str], address: CosmosAddress) -> None:
    assert parse_address(url, environ) == address
    assert KEY not in repr(address) + address.label


@pytest.mark.parametrize(
    "url",
    [
        f"cosmos://user:{KEY}@h/d/c",
        f"cosmos://{KEY}@h/d/c",
        f"cosmos://h/d/c?key={KEY}",
        f"cosmos://h/d/c#{KEY}",
        f"cosmos://AccountEndpoint=https://h/;AccountKey={KEY}",
        f"cosmos:AccountEndpoint=https://h/;AccountKey={KEY}",
        f"cosmos://h:{KEY}/d/c",
    ],
)
def test_a_url_with_a_key_in_it_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert KEY not in str(caught.value)
    assert "cosmos://HOST[:PORT]/DATABASE/CONTAINER" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["cosmos:", "cosmos://h", "cosmos://h/d", "cosmos://h/d/c/e", "cosmos:///d/c", "cosmos://h//c"]
)
def test_the_error_for_an_incomplete_url_gives_an_example(url: str) -> None:
    with pytest.raises(StoreError, match=r"cosmos://HOST\[:PORT\]/DATABASE/CONTAINER"):
        open_store(url)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SAGATRACE_COSMOS_TLS": "none"}, "SAGATRACE_COSMOS_TLS='none' is none of verify, self-signed, off"),
        ({"SAGATRACE_COSMOS_KEY": f"{KEY}!"}, "the key in SAGATRACE_COSMOS_KEY is not base64"),
        ({"SAGATRACE_COSMOS_CONNECTION_STRING": f"AccountKey={KEY}"}, "has no AccountEndpoint"),
        ({"SAGATRACE_COSMOS_CONNECTION_STRING": "AccountEndpoint=https://h"}, "has no AccountKey"),
        ({"SAGATRACE_COSMOS_CONNECTION_STRING": CONNECTION, "SAGATRACE_COSMOS_KEY": KEY}, "both set"),
        (
            {"SAGATRACE_COSMOS_CONNECTION_STRING": CONNECTION},
            "names other, but SAGATRACE_COSMOS_CONNECTION_STRING acme",
        ),
        ({"SAGATRACE_COSMOS_TLS": "off"}, "needs SAGATRACE_COSMOS_KEY"),
        (
            {"SAGATRACE_COSMOS_CONNECTION_STRING": CONNECTION.replace("https", "http")},
            "begins with http://, without TLS",
        ),
        ({"SAGATRACE_COSMOS_CONSISTENCY": "strict"}, "is none of Strong, BoundedStaleness, Session"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        open_store("cosmos://other/d/c")
    assert said in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("tls", ["off", "self-signed"])
@pytest.mark.parametrize(
    "host", ["acme.documents.azure.com", "ACME.Documents.Azure.COM:443", "8.8.8.8", "[2001:db9::1]", "[::ffff:8.8.8.8]"]
)
def test_public_addresses_need_verified_tls(monkeypatch: pytest.MonkeyPatch, tls: str, host: str) -> None:
    monkeypatch.setenv("SAGATRACE_COSMOS_KEY", KEY)
    monkeypatch.setenv("SAGATRACE_COSMOS_TLS", tls)
    with pytest.raises(SettingsError, match=rf"SAGATRACE_COSMOS_TLS={tls} is for an emulator"):
        open_store(f"cosmos://{host}/d/c")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:8081", "[::1]", "10.1.2.3", "192.168.0.2", "cosmos", "[fd00::1]"]
)
def test_an_emulator_at_a_private_address_needs_no_verified_tls(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("SAGATRACE_COSMOS_KEY", KEY)
    monkeypatch.setenv("SAGATRACE_COSMOS_TLS", "off")
    open_store(f"cosmos://{host}/d/c")


def test_the_address_of_a_name_is_checked_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    store = CosmosStore(CosmosAddress("cosmos.example", "d", "c", KEY, "off"), max_wait=5)
    with pytest.raises(SettingsError, match=r"93\.184\.216\.34 is not one"):
        store.fetch_trace("T")


def test_port_0_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="port 0"):
        open_store("cosmos://h:0/d/c")


def test_a_self_signed_certificate_is_accepted_only_with_the_setting(tls_account: CosmosAccount) -> None:
    with tls_account.store() as trusting:
        assert trusting.append([event()]) == 1
        address = trusting.address
        for wary in (CosmosAddress(address.host, address.database, address.container, address.key),):
            store = CosmosStore(wary, max_wait=60)
            with pytest.raises(
                StoreError, match="does not trust: for an emulator set SAGATRACE_COSMOS_TLS=self-signed"
            ):
                store.fetch_trace("T")
            store.close()


def test_the_error_for_a_server_without_tls_names_the_setting(local_account: CosmosAccount) -> None:
    store = CosmosStore(CosmosAddress(local_account.host, "d", "c", local_account.key), max_wait=60)
    with pytest.raises(StoreError, match="SAGATRACE_COSMOS_TLS=off"):
        store.fetch_trace("T")
    store.close()
