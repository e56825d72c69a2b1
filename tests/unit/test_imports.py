"""The modules that an import loads, in a separate process: the linter knows only the static graph."""

from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(statement: str, *, whole: bool = False) -> set[str]:
    program = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name if whole else name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import sagatrace, sagatrace.otel", {"opentelemetry"}),
        ("import sagatrace", {"sqlite3", "rq", "redis", "azure", "click", "textual", "rich", "sagatrace_tui"}),
        ("import sagatrace.rq", {"azure", "textual", "rich", "sagatrace_tui"}),
        ("import sagatrace_tui.cli", {"textual", "rich", "azure", "rq", "redis"}),
        ("import sagatrace_tui.model", {"textual", "rich", "click", "rq", "redis", "azure", "sqlite3"}),
        ("import sagatrace_tui.incident.query", {"textual", "rich", "click", "rq", "redis", "azure", "sqlite3"}),
    ],
)
def test_an_import_loads_only_the_modules_that_it_needs(statement: str, absent: set[str]) -> None:
    assert modules_after(statement) & absent == set()


def test_a_trace_is_shown_without_the_modules_of_lists_and_comparisons() -> None:
    loaded = modules_after("import sagatrace_tui.cli, sagatrace_tui.app, sagatrace_tui.screens.trace", whole=True)
    unneeded = ("screens.search", "screens.compare", "screens.help", "live.list_feed", "incident.summary")
    assert loaded.isdisjoint(f"sagatrace_tui.{name}" for name in unneeded)


def test_nothing_of_opentelemetry_is_needed_or_loaded_for_an_event_a_job_or_a_saga() -> None:
    """redis-py imports it if it is installed. So here it is not: an import would fail."""
    work = """
import sys
sys.modules["opentelemetry"] = None
import sagatrace, sagatrace.rq.queue, sagatrace.logs
tracer = sagatrace.Tracer(sagatrace.MemoryStore())
with tracer.saga("order", "T") as saga:
    assert saga.call("charge", str, undo=str) == ""
    assert list(sagatrace.trace_meta(saga)) == ["sagatrace"]
tracer.resume(tracer.begin("workflow:order", "T")).complete()
assert not tracer.lost
"""
    assert "sagatrace.otel" not in modules_after(work, whole=True)
    with_it = work.replace('sys.modules["opentelemetry"] = None', "import opentelemetry.trace")
    assert "sagatrace.otel" in modules_after(with_it, whole=True)
