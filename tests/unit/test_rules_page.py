"""The page of the rules names functions that exist."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / ".github" / "docs" / "verdicts.md"
LAST_CELLS = re.findall(r"\| ([^|\n]*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
NAMES = sorted({name for cell in LAST_CELLS for name in re.findall(r"`([a-z_]+(?:\.\w+)*)`", cell)})
VERDICTS = re.compile(r"succeeded.*|rolled_back|rollback_\w+|failed|running|compensating|unknown")


@pytest.mark.parametrize("name", [name for name in NAMES if not VERDICTS.fullmatch(name)])
def test_each_function_that_decides_a_rule_exists(name: str) -> None:
    module, *path = name.split(".")
    assert reduce(getattr, path, importlib.import_module(f"sagatrace_tui.model.{module}"))


def test_the_page_names_a_function_for_most_rules() -> None:
    assert len(NAMES) > 25
