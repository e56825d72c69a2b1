"""RQ's own test suite, with our workers in place of RQ's: each test that passes with RQ's passes with ours.

It takes minutes and needs Redis's usual port, so it runs only with `-m rqsuite`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sagatrace import open_store
from sagatrace.stores import Search
from servers import TcpRedis, until

HERE = Path(__file__).parent
VERSION = version("rq")
pytestmark = [pytest.mark.rqsuite, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def suite(request: pytest.FixtureRequest) -> Path:
    """Return the tests of the installed RQ, from its source distribution, without RQ's code."""
    directory = request.config.cache.mkdir(f"rq-{VERSION}-suite")
    root = directory / f"rq-{VERSION}"
    if not root.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "rq"]
        subprocess.run([*command, "--dest", str(directory), f"rq=={VERSION}"], check=True, timeout=120)
        with tarfile.open(next(directory.glob("*.tar.gz"))) as archive:
            archive.extractall(directory, filter="data")
        shutil.rmtree(root / "rq")
    return root


@pytest.fixture(scope="module")
def usual_redis() -> Iterator[str]:
    """Run a Redis at the port that RQ's suite uses."""
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", 6379)) == 0
    assert not taken, "RQ's suite needs a Redis of its own at port 6379, where something else listens: stop that first"
    with TcpRedis(port=6379) as server:
        yield server.url


def failures(suite: Path, reports: Path, *arguments: str, store: str = "") -> set[str]:
    """Return the tests that fail, as `tests/test_x.py::Class::test`. With a store, our workers run the jobs.

    Tests of RQ's send signals to their own process after a while. On a busy machine its worker may have no handler yet.
    Then the signal ends the suite, so run it again.
    """
    report = reports / f"report-{len(list(reports.iterdir()))}.xml"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAGATRACE_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    plugin = []
    if store:
        environment |= {
            "PYTHONPATH": str(HERE),
            "RQ_WORKER_CLASS": "sagatrace.rq.Worker",
            "SAGATRACE_STORE": store,
        }
        plugin = ["-p", "in_place_of_rq"]
    command = [sys.executable, "-P", "-m", "pytest", "-q", *plugin, "--junit-xml", str(report), *arguments]
    status, said = _run(command, suite, report, environment, reports / "said.txt")
    if not report.exists() and status < 0:
        status, said = _run(command, suite, report, environment, reports / "said.txt")
    assert report.exists(), f"status {status}\n{said[-5000:]}"
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))  # noqa: S314 - pytest's own
    assert cases
    return {
        f"{path.replace('.', '/')}.py::{name}::{case.get('name')}"
        for case in cases
        for path, _, name in [(case.get("classname") or "").rpartition(".")]
        if case.find("failure") is not None or case.find("error") is not None
    }


def _run(command: list[str], suite: Path, report: Path, environment: dict[str, str], output: Path) -> tuple[int, str]:
    """Run the suite until its report is there. Return its exit status and its output."""
    with output.open("w+") as said:
        run = subprocess.Popen(
            command, cwd=suite, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            until(lambda: report.exists() or run.poll() is not None, "RQ's suite ends", timeout=600)
            with suppress(subprocess.TimeoutExpired):
                run.wait(20)
        finally:
            with suppress(ProcessLookupError):  # a test of RQ's that fails leaves workers, for which pytest would wait
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        said.seek(0)
        return run.returncode, said.read()


def test_rq_s_suite_passes_with_our_workers_as_with_rq_s(suite: Path, usual_redis: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/traces.db"
    reports = tmp_path / "reports"
    reports.mkdir()
    failed = failures(suite, reports, "tests", store=store)
    if failed:  # perhaps by chance: run them again
        failed = failures(suite, reports, *failed, store=store)
    if failed:
        failed -= failures(suite, reports, *failed)
    assert failed == set()
    opened = open_store(store, read_only=True)
    assert len(opened.search(Search(limit=1000))) > 100
    opened.close()
