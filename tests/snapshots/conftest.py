"""Pictures that do not depend on how busy the machine is."""

from __future__ import annotations

from typing import Any

import pytest

from sagatrace_tui.live import refresh
from sagatrace_tui.live.status import seconds_between_looks


@pytest.fixture(autouse=True)
def _quick_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a slow reading the next one is later, and the state line says so."""

    def between(*given: Any, least: float, **options: Any) -> float:
        return seconds_between_looks(*given, least=refresh.INTERVAL, **options)

    monkeypatch.setattr(refresh, "seconds_between_looks", between)
