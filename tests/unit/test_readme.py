"""The README tells the truth where a program can check it."""

from __future__ import annotations

import re
from pathlib import Path

import click

import sagatrace_tui.demo.loan_saga as loan_saga
from sagatrace_tui import cli

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_saga_shown_is_the_one_the_demo_runs() -> None:
    """Every line of it, in the same order; `...` stands for what is left out."""
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = iter(Path(loan_saga.__file__).read_text().splitlines())
    for line in shown.splitlines():
        if line.strip() not in ("", "..."):
            assert line in code, f"not in loan_saga.py, or not in this order: {line}"


def test_every_command_is_named() -> None:
    commands = cli.main.list_commands(click.Context(cli.main))
    assert "why" in commands
    assert {name for name in commands if f"`{name}" not in README and f"sagatrace {name}" not in README} == set()
