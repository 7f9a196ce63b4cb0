"""Whoever is killed or away: the run ends as it should, and all of it is there."""

from __future__ import annotations

import pytest

from tests.survival.matrix import CELLS, Cell, Result, Theatre, play

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def results(theatre: Theatre, request: pytest.FixtureRequest) -> dict[Cell, Result]:
    """Of the cells that were asked for; most of them run at the same time."""
    names = {item.name for item in request.session.items}
    chosen = [cell for cell in CELLS if f"test_cell[{cell.name}]" in names]
    return {result.cell: result for result in play(theatre, chosen)}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_cell(cell: Cell, results: dict[Cell, Result]) -> None:
    if results[cell].skipped:
        pytest.skip(results[cell].skipped)
    assert results[cell].problems == []
