"""TLS to Cosmos DB: the trusted certificates, and the cost of a new connection."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cosmos_server import CosmosAccount
from fault_proxy import Exchange, Fault, FaultProxy
from sagatrace.errors import StoreError
from sagatrace.event import TraceEvent, new_event
from sagatrace.stores import Search
from sagatrace.stores.cosmos.address import Tls
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosStore

MAX_WAIT = 60.0


def event() -> TraceEvent:
    return new_event(trace_id="T", span_id="S", event_type="stage:x:started")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a self-signed certificate for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sagatrace test")])
    now = datetime.datetime.now(datetime.UTC)
    signer = key.public_key()
    certificate = (
        x509.CertificateBuilder(name, name, signer, x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(signer), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def proxy(local_account: CosmosAccount, certificate: Path) -> Iterator[FaultProxy]:
    """A proxy with TLS and the certificate. It closes each connection after one response.

    The account names the proxy as its address, as the SDK sends requests to the address that the account names.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def name_the_proxy(exchange: Exchange) -> None:
        answer = exchange.forward()
        body = answer.body.replace(local_account.host.encode(), f"127.0.0.1:{exchange.proxy.port}".encode())
        exchange.send(replace(answer, body=body).encoded())

    with FaultProxy(local_account.host, tls=context) as proxy:
        proxy.meets = lambda exchange: exchange.path == "/"
        proxy.fault = name_the_proxy
        yield proxy


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record each call of a method that loads trusted certificates."""
    called: list[str] = []
    for name in ("load_verify_locations", "load_default_certs", "set_default_verify_paths"):
        original = getattr(ssl.SSLContext, name)

        def noted(*args: Any, name: str = name, original: Any = original, **kwargs: Any) -> Any:
            called.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(ssl.SSLContext, name, noted)
    return called


def through(proxy: FaultProxy, account: CosmosAccount, tls: Tls) -> CosmosStore:
    """A store in a new container behind the proxy."""
    address = account.address()
    provision(address, max_wait=MAX_WAIT)
    return CosmosStore(replace(address, host=f"127.0.0.1:{proxy.port}", tls=tls), max_wait=MAX_WAIT)


@pytest.mark.parametrize(("tls", "expected"), [("verify", ["load_verify_locations"]), ("self-signed", [])])
def test_all_connections_of_a_client_share_certificates_loaded_once(
    local_account: CosmosAccount,
    proxy: FaultProxy,
    certificate: Path,
    loads: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tls: Tls,
    expected: list[str],
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    store = through(proxy, local_account, tls)
    for _ in range(5):
        assert store.append([event()]) == 1
    assert len(store.fetch_trace("T").events) == 5
    store.close()
    local_account.drop(replace(store.address, host=local_account.host, tls="off"))
    assert proxy.connections > 5
    assert loads == expected


def test_an_unknown_certificate_is_refused_although_another_client_accepted_it(
    local_account: CosmosAccount, proxy: FaultProxy
) -> None:
    trusting = through(proxy, local_account, "self-signed")
    assert trusting.append([event()]) == 1
    wary = CosmosStore(replace(trusting.address, tls="verify"), max_wait=MAX_WAIT)
    with pytest.raises(StoreError, match="shows a certificate this machine does not trust"):
        wary.fetch_trace("T")
    assert trusting.append([event()]) == 1
    wary.close()
    trusting.close()


@pytest.mark.parametrize(
    ("name", "said"), [("nonsense.pem", "no certificate or crl found"), ("missing.pem", "CA certificate bundle")]
)
def test_a_bundle_that_cannot_be_loaded_is_reported_in_one_line(
    local_account: CosmosAccount,
    proxy: FaultProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    said: str,
) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense\n")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / name))
    store = through(proxy, local_account, "verify")
    with pytest.raises(StoreError) as caught:
        store.fetch_trace("T")
    store.close()
    assert "\n" not in str(caught.value)
    assert said in str(caught.value)


def test_reads_go_to_the_named_region_and_writes_to_the_write_region(
    local_account: CosmosAccount, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    seen: dict[str, list[str]] = {"hub": [], "near": []}
    levels: set[str] = set()
    with FaultProxy(local_account.host, tls=context) as hub, FaultProxy(local_account.host, tls=context) as near:
        regions = [
            {"name": name, "databaseAccountEndpoint": f"https://127.0.0.1:{proxy.port}/"}
            for name, proxy in (("East US", hub), ("West Europe", near))
        ]

        def noting(name: str) -> Fault:
            def note(exchange: Exchange) -> None:
                answer = exchange.forward()
                if exchange.path == "/":
                    account = {
                        **json.loads(answer.body),
                        "readableLocations": regions,
                        "writableLocations": regions[:1],
                    }
                    answer = replace(answer, body=json.dumps(account).encode())
                elif "/docs" in exchange.path:
                    seen[name].append("query" if exchange.headers.get("x-ms-documentdb-isquery") else "write")
                    levels.add(exchange.headers.get("x-ms-consistency-level", ""))
                exchange.send(answer.encoded())

            return note

        for name, proxy in (("hub", hub), ("near", near)):
            proxy.meets = lambda _: True
            proxy.fault = noting(name)
        address = local_account.address()
        provision(address, max_wait=MAX_WAIT)
        remote = replace(
            address, host=f"127.0.0.1:{hub.port}", tls="verify", regions=("West Europe",), consistency="Eventual"
        )
        store = CosmosStore(remote, max_wait=MAX_WAIT)
        store.append([event()])
        assert len(store.fetch_trace("T").events) == 1
        assert len(store.search(Search())) == 1
        assert store.readable_regions() == ["East US", "West Europe"]
        store.close()
    local_account.drop(address)
    assert seen == {"hub": ["write"], "near": ["query", "query"]}
    assert levels == {"Eventual"}
