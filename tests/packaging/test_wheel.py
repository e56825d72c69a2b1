"""The wheel as a worker installs it: built, put into an empty environment, tried."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("wheel")  # one process, as they share what takes long to set up

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_holds_the_two_packages_typed_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"sagatrace", "sagatrace_tui"}
    assert {"sagatrace/py.typed", "sagatrace_tui/py.typed"} <= set(names)


def test_the_bare_wheel_brings_no_textual_and_the_app_says_which_extra_is_missing(wheel: Path, tmp_path: Path) -> None:
    """Needs the package index, as installing always does."""
    home = tmp_path / "bare"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=500)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["SAGATRACE_STORE"] = f"sqlite:///{tmp_path}/traces.db"

    def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = [home / "bin" / command, *arguments]
        return subprocess.run(program, capture_output=True, text=True, env=env, timeout=300)

    installed = run("pip", "list", "--format=freeze").stdout.lower()
    assert "rq==" in installed
    assert not {"textual", "rich", "azure-cosmos"} & {line.partition("==")[0] for line in installed.split()}
    app = run("sagatrace-tui")
    assert (app.returncode, app.stdout) == (1, "")
    assert "pip install 'sagatrace[tui]'" in app.stderr
    assert len(app.stderr.splitlines()) == 1
    seed = ROOT / "tests" / "examples" / "seed_trace.jsonl"
    assert run("sagatrace", "import", str(seed)).returncode == 0
    assert "stage:funding" in run("sagatrace", "show", "T1").stdout
    assert run("python", "-c", "import sagatrace.rq").returncode == 0
