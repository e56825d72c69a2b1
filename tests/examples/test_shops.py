"""Two small shops on real workers, orchestrated and choreographed, with few lines for the right verdict."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from sagatrace.stores import open_store
from sagatrace_tui.demo.workers import WorkerGroup
from sagatrace_tui.live.refresh import wall_clock
from sagatrace_tui.model import Trace, build_trace

HERE = Path(__file__).parent
PLAIN = {"orchestrated_shop": "shop", "choreographed_shop": "callback_shop"}
WORKERS = {"orchestrated_shop": ("sagas", "steps", "steps"), "choreographed_shop": ("steps", "steps", "steps")}


@pytest.mark.parametrize("name", PLAIN)
def test_tracing_and_undoing_add_at_most_twelve_lines(name: str) -> None:
    plain, traced = ((HERE / f"{one}.py").read_text() for one in (PLAIN[name], name))
    added = [line for line in difflib.ndiff(code(plain), code(traced)) if line.startswith("+ ")]
    assert len(added) <= 12
    assert len(traced.splitlines()) <= 95


def code(text: str) -> list[str]:
    """Return the lines that are neither blank nor docstrings."""
    return [line for line in text.splitlines() if line.strip() and not line.strip().startswith('"""')]


@pytest.mark.parametrize("checker", ["mypy --strict --cache-dir", "pyright --pythonpath"])
def test_type_checkers_pass_the_shops_and_the_decorator(checker: str, tmp_path: Path) -> None:
    """Run them as a user does, on the installed package. The shops need no ignore."""
    shops = [HERE / f"{name}.py" for pair in PLAIN.items() for name in pair]
    assert [shop.name for shop in shops if "ignore" in shop.read_text()] == []
    value = sys.executable if "pyright" in checker else str(tmp_path)
    files = map(str, [*shops, HERE.parent / "rq" / "test_decorator_types.py"])
    command = [sys.executable, "-m", *checker.split(), value, *files]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("broken", "verdict", "book", "standing"),
    [
        ("", "succeeded", ["charge", "reserve", "ship"], 0),
        ("ship", "rolled_back", ["charge", "reserve", "release", "refund"], 0),
        ("ship release", "rollback_incomplete", ["charge", "reserve", "refund"], 1),
        ("charge", "failed", [], 0),
    ],
)
@pytest.mark.parametrize("name", PLAIN)
def test_an_order_has_the_right_verdict(
    name: str,
    broken: str,
    verdict: str,
    book: list[str],
    standing: int,
    redis_server: str,
    tmp_path: Path,
    until: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("SHOP_REDIS", redis_server)
    monkeypatch.setenv("SHOP_BROKEN", broken)
    workers, store = WorkerGroup(redis_server, url, tmp_path), open_store(url)

    def ended() -> Trace | None:
        trace = build_trace("order-7", store.fetch_trace("order-7").events, now=wall_clock())
        return trace if trace.verdict == verdict else None

    with Redis.from_url(redis_server, decode_responses=True) as redis:
        redis.flushall()
        try:
            for number, queue in enumerate(WORKERS[name]):
                workers.start(f"{queue}-{number}", queue)
            submit = f"import os, {name}; os.environ['SAGATRACE_STORE'] = {url!r}; {name}.submit('7')"
            subprocess.run([sys.executable, "-c", submit], check=True, timeout=300)
            trace = until(ended, f"the verdict {verdict}")
        finally:
            workers.stop()
            store.close()
        done: Any = redis.lrange("book", 0, -1)
    assert [line.partition(" ")[0] for line in done] == book
    assert len(trace.still_standing) == standing
