"""The text of this project is plain: none of the words that the style rules out, and short commit subjects."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("instrumentation", "explorer", "tests", ".github", ".ci")
WORDS = re.compile(
    r"\b(?:tells?|told|tellers?|telling|nobody|somebody|whoever|anew|made good)\b"
    r"|(?<!there )(?<!There )\bis no\b(?! longer)",
    re.IGNORECASE,
)
PYTHON_S_OWN = re.compile(r"\w\.tell\(\)")  # a file's position


def texts() -> list[Path]:
    """Return all files that people read."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    return [
        path
        for path in [*found, ROOT / "README.md"]
        if path.suffix in (".py", ".md", ".yaml", "") and path != Path(__file__)
    ]


def test_no_text_has_a_word_that_is_ruled_out() -> None:
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if WORDS.search(PYTHON_S_OWN.sub("", line))
    ]
    assert faults == []


def test_subjects_of_commits_are_short() -> None:
    log = ["git", "log", "--since=2026-11-29T19:30:00Z", "--no-merges", "--format=%s"]
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    subjects = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert [subject for subject in subjects if len(subject) > 72] == []
