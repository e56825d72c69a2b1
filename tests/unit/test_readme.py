"""The program and the commands of the README work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pty_terminal import PtyTerminal
from sagatrace_tui import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CLONED = "https://github.com/sagatrace/sagatrace"
MAKE_VENV = """#!/bin/sh
[ "$*" = "-m venv .venv" ] || exit 1
mkdir -p .venv/bin
ln -s "$BINARIES/sagatrace-tui" .venv/bin/
printf '#!/bin/sh\\necho "$@" > asked-of-pip\\n' > .venv/bin/pip
chmod +x .venv/bin/pip
"""


def test_the_program_of_the_readme_runs_with_the_stated_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.setenv("SAGATRACE_STORE", f"sqlite:///{tmp_path}/traces.db")
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr.splitlines()[-1] == "RuntimeError: out of stock"
    result = CliRunner().invoke(cli.main, ["why", "order-4711"])
    assert result.exit_code == 4
    assert "rolled back" in result.stdout
    assert "failed at step:ship (RuntimeError: out of stock) · rolled back: 1 step undone" in result.stdout


@pytest.fixture
def short_tmp() -> Iterator[str]:
    """Return a temporary directory with a path short enough for Redis's socket."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="st-") as directory:
        yield directory


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="needs a git checkout")
def test_the_clone_and_the_demo_run_as_written(tmp_path: Path, short_tmp: str) -> None:
    """Git clones this checkout instead of the network's. Pip does not run: the demo is that of this environment."""
    (clone,) = re.findall(r"```sh\n(git clone .*)\n```", README)
    (demo,) = re.findall(r"<!-- demo -->\n```sh\n(.*)\n```\n<!-- /demo -->", README)
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "python3").write_text(MAKE_VENV)
    (binaries / "python3").chmod(0o755)
    (listed,) = re.findall(r"`(\.venv/bin/sagatrace list --store demo)`", README)
    env = {
        "HOME": str(tmp_path),
        "TMPDIR": short_tmp,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "BINARIES": str(Path(sys.executable).parent),
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{ROOT}.insteadOf",
        "GIT_CONFIG_VALUE_0": CLONED,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
    }
    with PtyTerminal(["bash", "-ec", f"cd {tmp_path}\n{clone}\n{demo}"], env=env) as terminal:
        terminal.until("loan-L101", "loan-approval", "sagatrace list --store demo")
        command = [str(Path(sys.executable).parent / "sagatrace"), *listed.split()[1:]]
        beside = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=300)
        assert "loan-L101" in beside.stdout, beside.stderr
        terminal.press("q", "Quit the demo?")
        terminal.send("q")
        assert terminal.wait() == 0
    over = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=300)
    assert (over.returncode, "no demo runs: start one with `sagatrace-tui --demo`" in over.stderr) == (2, True)
    assert (tmp_path / "sagatrace" / "pyproject.toml").is_file()
    *options, project = (tmp_path / "sagatrace" / "asked-of-pip").read_text().split()
    assert options == ["install", "-q", "-e"]
    extra = project.removeprefix(".[").removesuffix("]")
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()


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


def test_the_readme_shows_the_tree_the_list_the_compensation_and_the_standing_steps() -> None:
    shown = re.findall(r"^!\[.+\]\((screenshots/.*)\)$", README, re.MULTILINE)
    assert shown == [f"screenshots/{name}.svg" for name in ("tree", "search", "compensation", "standing")]
    assert all((ROOT / path).exists() for path in shown)
    assert len(README.splitlines()) <= 150


def test_every_picture_keeps_its_blanks_in_librsvg_too() -> None:
    pictures = [*(ROOT / "screenshots").glob("*.svg")]
    assert pictures
    assert [path.name for path in pictures if '<svg xml:space="preserve" ' not in path.read_text()] == []
