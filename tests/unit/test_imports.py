"""What importing costs and drags in, seen in a process of its own: the linter knows only the static graph."""

from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import sagatrace", {"sqlite3", "rq", "redis", "azure", "click", "textual", "rich", "sagatrace_tui"}),
        ("import sagatrace.rq", {"azure", "textual", "rich", "sagatrace_tui"}),
        ("import sagatrace_tui.cli", {"textual", "rich", "azure", "rq", "redis"}),
        ("import sagatrace_tui.model", {"textual", "rich", "click", "rq", "redis", "azure", "sqlite3"}),
        ("import sagatrace_tui.incident.query", {"textual", "rich", "click", "rq", "redis", "azure", "sqlite3"}),
    ],
)
def test_an_import_brings_only_what_it_needs(statement: str, absent: set[str]) -> None:
    assert modules_after(statement) & absent == set()
