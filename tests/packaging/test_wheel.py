"""The sdist and the wheel: their contents and metadata, and the wheel in an empty environment."""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("wheel")  # one process, as they share a slow set-up

ROOT = Path(__file__).parents[2]
ROOTS = ("instrumentation", "explorer")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the sdist and the wheel built from it. `python -m build` needs the package index."""
    target = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(target), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, timeout=110)
    assert built.returncode == 0, built.stdout + built.stderr
    return target


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (built,) = dist.glob("*.tar.gz")
    return built


def test_the_wheel_holds_the_two_packages_typed_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"sagatrace", "sagatrace_tui"}
    assert {"sagatrace/py.typed", "sagatrace_tui/py.typed"} <= set(names)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    sources = {path.relative_to(ROOT / root).as_posix() for root in ROOTS for path in (ROOT / root).rglob("*.py")}
    assert sources <= set(names)


def test_the_sdist_holds_the_sources_the_tests_and_the_project_s_texts(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    texts = {"README.md", "LICENSE", "pyproject.toml", "PKG-INFO"}
    texts |= {f".ci/{name}" for name in ("run", "lowest_versions", "each_python")}
    texts |= {f".github/{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")}
    assert texts <= names
    assert {"instrumentation/sagatrace/py.typed", "explorer/sagatrace_tui/py.typed", "screenshots/tree.svg"} <= names
    sources = {path.relative_to(ROOT).as_posix() for root in (*ROOTS, "tests") for path in (ROOT / root).rglob("*.py")}
    assert sources <= names
    assert not {name.partition("/")[0] for name in names} & {".venv", "dist", ".git"}


def test_the_metadata_is_complete_and_passes_twine(dist: Path, wheel: Path) -> None:
    check = [sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())]
    checked = subprocess.run(check, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert (metadata["License-Expression"], metadata["Author"]) == ("MIT", "sagatrace contributors")
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    assert urls.keys() == {"Homepage", "Issues", "Changelog"}


def test_pictures_and_links_of_the_readme_are_absolute_on_a_package_index(wheel: Path) -> None:
    """Their files exist here, so the addresses are right."""
    targets = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    relative = {target for target in targets if not target.startswith(("http", "#"))}
    assert {"screenshots/tree.svg", "tests/README.md"} <= relative
    assert not [target for target in relative if not (ROOT / target).is_file()]
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        readme = archive.read(name).decode()
    published = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(published) == len(targets)
    assert not [target for target in published if not target.startswith(("https://", "#"))]
    assert "https://raw.githubusercontent.com/sagatrace/sagatrace/main/screenshots/tree.svg" in published


def test_the_bare_wheel_has_no_textual_and_the_app_names_the_missing_extra(wheel: Path, tmp_path: Path) -> None:
    """An installation needs the package index."""
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
