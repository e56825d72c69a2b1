"""What the tests on real workers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jobs_on_workers import Scenes

from servers import running_redis


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """Return the scenes, in a Redis of their own."""
    with running_redis() as server:
        yield Scenes(server.url, tmp_path_factory.mktemp)
