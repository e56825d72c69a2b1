"""The pytest plugin in a user's project: outside the repository, with the wheel in an environment of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from servers import TcpRedis

pytestmark = pytest.mark.xdist_group("plugin")  # one process, as they share a slow set-up

ROOT = Path(__file__).parents[2]
SHOP = """
from sagatrace import Tracer
from sagatrace.rq import current_trace

tracer = Tracer()


def charge(order): ...
def refund(order): ...
def reserve(order): ...
def ship(order):
    if order != "1":
        raise RuntimeError("out of stock")


def buy(order):
    with tracer.saga("order", current_trace() or f"order-{order}") as saga:
        saga.call("charge", charge, order, undo=refund)
        saga.call("ship", ship, order)


def buy_and_forget(order):
    with tracer.saga("order", current_trace() or f"order-{order}") as saga:
        saga.call("charge", charge, order, undo=refund)
        with tracer.span("step:reserve", saga, compensation="release"):
            reserve(order)
        saga.call("ship", ship, order)


def buy_without_an_undo(order):
    with tracer.saga("order", current_trace() or f"order-{order}") as saga:
        saga.call("charge", charge, order, undo=refund)
        saga.call("reserve", reserve, order)
        saga.call("ship", ship, order)
"""
TESTS = """
import os
import subprocess
import sys

import fakeredis
import pytest
import shop
from redis import Redis
from sagatrace import TraceContext
from sagatrace.rq import SimpleWorker
from sagatrace.rq.queue import TracedQueue
from sagatrace.settings import Settings
from sagatrace_tui.testing import assert_rolled_back, assert_succeeded

URL = os.environ["SHOP_REDIS"]


def queue(connection, trace_id):
    return TracedQueue("shop", connection=connection).under(TraceContext.new(trace_id))


def test_settings(sagatrace_traces):
    assert Settings.from_env() == Settings(store=sagatrace_traces.url, reconcile=0.0)


def test_an_order(sagatrace_traces):
    shop.buy("1")
    assert_succeeded(sagatrace_traces["order-1"])


def test_an_order_that_cannot_be_shipped(sagatrace_traces):
    with pytest.raises(RuntimeError):
        shop.buy("2")
    assert_rolled_back(sagatrace_traces["order-2"])
    assert sagatrace_traces["order-2"].still_standing == ()
    assert sagatrace_traces.ids() == ["order-2"]


def fake():
    return fakeredis.FakeRedis.from_url(os.environ["SHOP_ELSEWHERE"])


@pytest.mark.parametrize("connect", [fake, lambda: Redis.from_url(URL)], ids=["fake", "real"])
def test_an_order_in_a_worker_of_this_process(sagatrace_traces, connect):
    orders = queue(connect(), "order-3")
    orders.enqueue(shop.buy, "3")
    SimpleWorker([orders], connection=orders.connection).work(burst=True)
    assert_rolled_back(sagatrace_traces["order-3"])


@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker", "SpawnWorker"])
def test_an_order_in_another_process(sagatrace_traces, kind):
    queue(Redis.from_url(URL), "order-4").enqueue(shop.buy, "4")
    worker = ["rq.cli", "worker", "--burst", "--path", ".", "-u", URL, "-w", f"sagatrace.rq.{kind}", "shop"]
    subprocess.run([sys.executable, "-m", *worker], check=True)
    assert_rolled_back(sagatrace_traces["order-4"])


def test_without_the_fixture():
    shop.buy("1")


def test_that_forgets_an_undo(sagatrace_traces):
    with pytest.raises(RuntimeError):
        shop.buy_and_forget("5")
    assert_rolled_back(sagatrace_traces["order-5"])


def test_that_declares_no_undo(sagatrace_traces):
    with pytest.raises(RuntimeError):
        shop.buy_without_an_undo("8")
    assert_rolled_back(sagatrace_traces["order-8"], without_undo=["reserve"])
    assert_rolled_back(sagatrace_traces["order-8"])


def test_that_fails(sagatrace_traces):
    with pytest.raises(RuntimeError):
        shop.buy("6")
    assert_succeeded(sagatrace_traces["order-6"])


def test_without_a_trace(sagatrace_traces):
    sagatrace_traces["order-7"]
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of the programs of an environment with the wheel. It needs the package index."""
    home = tmp_path_factory.mktemp("installed")
    for command in (
        ["build", "--installer", "uv", "--wheel", "--outdir", home, ROOT],
        ["uv", "venv", "--quiet", "--python", sys.executable, home / "venv"],
    ):
        run(home, {}, sys.executable, "-m", *command)
    (wheel,) = home.glob("*.whl")
    ours = [f"{name}=={version(name)}" for name in ("pytest", "fakeredis", "rq")]
    install = ["uv", "pip", "install", "--quiet", "--python", home / "venv", f"{wheel}[tui]", *ours]
    run(home, {}, sys.executable, "-m", *install)
    return home / "venv" / "bin"


def run(where: Path, environment: dict[str, str], *command: object, status: int = 0) -> str:
    """Run a program with these variables beside PATH, or with those of this process; return its output."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=where,
        env={"PATH": "/usr/bin:/bin", **environment} if environment else None,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("settings", [False, True], ids=["no settings", "settings of the developer"])
def test_a_project_s_tests_assert_on_its_sagas(settings: bool, programs: Path, tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    for directory in (project, home):
        directory.mkdir()
    (project / "shop.py").write_text(SHOP)
    (project / "test_shop.py").write_text(TESTS)
    elsewhere = socket.create_server(("127.0.0.1", 0))  # a Redis that no test may reach
    url = f"redis://127.0.0.1:{elsewhere.getsockname()[1]}"
    of_developer = {
        "SAGATRACE_STORE": f"sqlite:///{home}/traces.db",
        "SAGATRACE_OUTBOX": str(home / "outbox"),
        "SAGATRACE_SAMPLE": "0.000001",
        "SAGATRACE_MIRROR": url,
        "SAGATRACE_REDIS_URL": url,
        "SAGATRACE_RECONCILE": "0.001",
        "SAGATRACE": "off",
    }
    plain = {"HOME": str(home), "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    # Whole differences, and the directories of tests that passed as well, without a cache in the project.
    command = [programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "own"]
    with TcpRedis() as redis, elsewhere:
        environment = {**plain, "SHOP_REDIS": redis.url, "SHOP_ELSEWHERE": url, **(of_developer if settings else {})}
        output = run(project, environment, *command, status=1)
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    assert "4 failed, 9 passed" in output, output
    assert "AssertionError: rolled_back, not succeeded" in output
    assert "AssertionError: no undo is declared for: step:reserve" in output
    assert "failed at step:ship (RuntimeError: out of stock)" in output
    assert "no trace 'order-7' was recorded; recorded are: none" in output
    written = {path.name for path in (*project.rglob("*"), *home.rglob("*"))}
    assert written == {"shop.py", "test_shop.py"}

    (recorded,) = (tmp_path / "own").glob("test_that_forgets_an_undo0/sagatrace.db")
    store = {**plain, "SAGATRACE_STORE": f"sqlite:///{recorded}"}
    why = run(tmp_path, store, programs / "sagatrace", "why", "order-5", status=5).splitlines()
    assert any("rollback incomplete: 1 of 2 steps still standing (step:reserve)" in line for line in why)
    assert [line for line in why if line.strip() and line not in output] == []
