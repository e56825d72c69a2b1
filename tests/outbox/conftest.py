"""Fixtures of the outbox tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagatrace.outbox import Outbox


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")
