"""The program and the commands of the README work."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sagatrace_tui import cli

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_program_of_the_readme_runs_with_the_stated_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr.splitlines()[-1] == "RuntimeError: out of stock"
    result = CliRunner().invoke(cli.main, ["why", "order-4711"])
    assert result.exit_code == 4
    assert "rolled back" in result.stdout
    assert "failed at step:ship (RuntimeError: out of stock) · rolled back: 1 step undone" in result.stdout


def test_every_command_is_named() -> None:
    commands = cli.main.list_commands(click.Context(cli.main))
    assert "why" in commands
    assert {name for name in commands if f"`{name}" not in README and f"sagatrace {name}" not in README} == set()


def test_the_help_of_the_package_opens_with_a_program_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "pydoc", "sagatrace"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    beginning = shown.partition("DESCRIPTION")[2].partition("RQ jobs are traced by")[0]
    program = textwrap.dedent("\n".join(re.findall(r"^(?: {8}.*)?$", beginning, re.MULTILINE)))
    assert program.strip().startswith("from sagatrace import Tracer")
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.splitlines() == ["charged 4711", "refunded 4711"]
    assert done.stderr.splitlines()[-1] == "RuntimeError: out of stock"
    result = CliRunner().invoke(cli.main, ["why", "order-4711"])
    assert result.exit_code == 4
    assert "failed at step:ship (RuntimeError: out of stock) · rolled back: 1 step undone" in result.stdout


def test_every_picture_keeps_its_blanks_in_librsvg_too() -> None:
    pictures = [*(Path(__file__).parents[2] / "screenshots").glob("*.svg")]
    assert pictures
    assert [path.name for path in pictures if '<svg xml:space="preserve" ' not in path.read_text()] == []
