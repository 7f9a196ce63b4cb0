"""One theatre for all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import FULL_MATRIX
from tests.survival.matrix import Theatre

AWAY_SECONDS = 60.0 if FULL_MATRIX else 12.0


@pytest.fixture(scope="session")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """Services of their own, which may be killed."""
    theatre = Theatre(tmp_path_factory.mktemp("survival"), AWAY_SECONDS)
    yield theatre
    theatre.close()
