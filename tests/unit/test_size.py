"""The code that a user must trust in a worker is small: its modules are named here, and its lines are counted."""

from __future__ import annotations

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = {"event", "tracer", "span", "outbox", "settings", "errors", "rq", "rq.hooks", "rq.recorder"}
BESIDE = {
    *("context", "destination", "error_text", "faults", "files", "ids", "interruptions", "outbox_bound", "phases"),
    *("segments", "shown", "signal_handlers", "store_url", "timestamps"),
    *("rq.job_facts", "rq.job_failure", "rq.job_place", "rq.parent", "rq.prepared_end"),
    *("rq.redis_address", "rq.shared_page"),
}
FOR_THE_SHIPPER = {"rq.redis_url", "shipper", "shipper.launcher", "shipper.lock"}

MOST_OF_CORE = 665
MOST_LOADED = 1_965

CHARGING = """
import json, os, sys
sys.modules["opentelemetry"] = None  # redis-py imports it if it is installed
import redis, rq, sagatrace.rq
from sagatrace import Tracer

tracer, before = Tracer(), set()

def loaded():
    return {name for name in sys.modules if name.partition(".")[0] == "sagatrace"}

def charge():
    data = {"order": "Größe 7", "items": ["a", {"b": None}], "at": 3.5}
    with tracer.span("step:charge", sagatrace.rq.current_trace(), compensation="refund", data=data) as span:
        span.record(amount=3.5)
    with tracer.compensation(original=span, parent=sagatrace.rq.current_trace()):
        pass
    return [sorted(loaded()), sorted(loaded() - before)]

def work(url):
    os.register_at_fork(after_in_child=lambda: before.update(loaded()))
    queue = rq.Queue("charging", connection=redis.Redis.from_url(url))
    job = queue.enqueue("charging.charge")
    sagatrace.rq.Worker([queue]).work(burst=True, logging_level="ERROR")
    print(json.dumps([job.return_value(), sorted(loaded()), tracer.lost]))
"""


def test_an_ordinary_job_loads_only_these_modules_and_none_after_the_fork(redis_server: str, tmp_path: Path) -> None:
    (tmp_path / "charging.py").write_text(CHARGING)
    done = subprocess.run(
        [sys.executable, "-c", f"import charging; charging.work({redis_server!r})"],
        cwd=tmp_path,
        env={"SAGATRACE_STORE": f"sqlite:///{tmp_path}/traces.db"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (in_the_job, after_the_fork), at_the_end, lost = json.loads(done.stdout)
    named = {"sagatrace"} | {f"sagatrace.{name}" for name in CORE | BESIDE | FOR_THE_SHIPPER}
    assert set(in_the_job) == set(at_the_end) == named
    assert (after_the_fork, lost) == ([], {})


def test_the_size_of_the_core_is_as_the_readme_says() -> None:
    core = sum(map(lines_of, CORE))
    loaded = core + sum(map(lines_of, {"", *BESIDE, *FOR_THE_SHIPPER}))
    (said_loaded, said_core) = re.findall(
        r"A traced worker loads about ([\d ]+) lines of its code\. Its core has about ([\d ]+):",
        (ROOT / "README.md").read_text(),
    )[0]
    assert abs(core - int(said_core.replace(" ", ""))) <= 25, core
    assert abs(loaded - int(said_loaded.replace(" ", ""))) <= 25, loaded
    assert core <= MOST_OF_CORE
    assert loaded <= MOST_LOADED


def lines_of(module: str) -> int:
    path = ROOT / "instrumentation" / "sagatrace" / module.replace(".", "/")
    return lines_of_code(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def lines_of_code(path: Path) -> int:
    """Return the lines that hold code: no blanks, comments or docstrings."""
    source, docstrings = path.read_text(), set[int]()
    for node in ast.walk(ast.parse(source)):
        first = node.body[0] if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in blank]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - docstrings)
