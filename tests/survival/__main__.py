"""``python -m tests.survival``: runs every cell of the kill matrix on services of its own, and prints what was seen.

MLFLOWS_FULL_MATRIX=1: servers are away for 60 s, not 12. Names as arguments: only those cells.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tests.survival.matrix import CELLS, Result, Theatre, play

FULL_SECONDS, SHORT_SECONDS = 60.0, 12.0
HEADER = ("killed or away", "SDK", "MLflow", "Prefect", "lines", "points", "outputs", "left", "seconds", "")


def row(result: Result) -> tuple[str, ...]:
    """One line of the table."""
    seen = result.seen
    if seen is None:
        return (result.cell.name, *[""] * 8, f"skipped: {result.skipped}" if result.skipped else "; ".join(result.problems))
    told = (result.cell.name, seen.status, seen.mlflow, seen.prefect, str(len(seen.lines)), str(len(seen.points)), str(len(seen.outputs)))
    return (*told, str(len(seen.left)), f"{seen.seconds:.1f}", "; ".join(result.problems) or "right")


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """The rows, in columns."""
    rows = [HEADER, *rows]
    widths = [max(len(each[column]) for each in rows) for column in range(len(HEADER) - 1)]
    return "\n".join("  ".join([*map(str.ljust, each, widths), each[-1]]).rstrip() for each in rows)


def main(names: list[str]) -> int:
    """0 if every cell is right."""
    away = FULL_SECONDS if os.environ.get("MLFLOWS_FULL_MATRIX") == "1" else SHORT_SECONDS
    began = time.monotonic()
    chosen = [cell for cell in CELLS if not names or cell.name in names]
    with tempfile.TemporaryDirectory(prefix="mlflows-survival-") as folder:
        theatre = Theatre(Path(folder), away)
        try:
            results = play(theatre, chosen, lambda result: print("  ".join(row(result)), file=sys.stderr, flush=True))
        finally:
            theatre.close()
    print(table(row(result) for result in results))
    wrong = sum(bool(result.problems) for result in results)
    print(f"\n{len(results)} cells, {wrong} wrong, servers away for {away:.0f} s, {time.monotonic() - began:.0f} s in all")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
