"""The pytest plugin, in a test run of a user's project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers import running_redis

SHOP = """
from sagatrace import Tracer
from sagatrace.rq import current_trace

tracer = Tracer()


def charge(order): ...
def refund(order): ...
def ship(order):
    if order != "1":
        raise RuntimeError("out of stock")


def buy(order):
    with tracer.saga("order", current_trace() or f"order-{order}") as saga:
        saga.call("charge", charge, order, undo=refund)
        saga.call("ship", ship, order)
"""
TESTS = """
import pytest
import shop
from redis import Redis
from rq import Queue
from sagatrace.rq import SimpleWorker
from sagatrace_tui.testing import assert_rolled_back, assert_succeeded


def test_an_order(sagatrace_traces):
    shop.buy("1")
    assert_succeeded(sagatrace_traces["order-1"])


def test_an_order_that_cannot_be_shipped(sagatrace_traces):
    with pytest.raises(RuntimeError):
        shop.buy("2")
    assert_rolled_back(sagatrace_traces["order-2"])
    assert sagatrace_traces["order-2"].still_standing == ()
    assert sagatrace_traces.ids() == ["order-2"]


def test_an_order_in_a_worker(sagatrace_traces):
    queue = Queue("shop", connection=Redis.from_url(URL))
    queue.enqueue(shop.buy, "3", meta={"sagatrace": {"trace_id": "T"}})
    SimpleWorker([queue], connection=queue.connection).work(burst=True)
    assert_rolled_back(sagatrace_traces["T"])


def test_that_fails(sagatrace_traces):
    with pytest.raises(RuntimeError):
        shop.buy("4")
    assert_succeeded(sagatrace_traces["order-4"])


def test_without_a_trace(sagatrace_traces):
    sagatrace_traces["order-5"]
"""


def test_a_project_s_tests_assert_on_its_sagas(tmp_path: Path) -> None:
    with running_redis() as redis:
        (tmp_path / "shop.py").write_text(SHOP)
        (tmp_path / "test_shop.py").write_text(TESTS.replace("URL", repr(redis.url)))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
        done = subprocess.run(
            [*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
    assert "2 failed, 3 passed" in done.stdout, done.stdout
    assert "AssertionError: rolled_back, not succeeded" in done.stdout
    assert "failed at step:ship (RuntimeError: out of stock)" in done.stdout
    assert "no trace 'order-5' was recorded; recorded are: none" in done.stdout
