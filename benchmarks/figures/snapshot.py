"""The snapshot of a folder of 20,000 small files, first and unchanged again, against ``tar`` of the same folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Table, ratio, seconds, under
from benchmarks.timing import median

NAME = "snapshot"
FOLDERS = 200
FILES_IN_EACH = 100
FILE_BYTES = 16384
"""The mean of Python's own library is 17.6 KB, of the packages beside this one 15.0; 20,000 of them are SDK v1's limit of 300 MB."""
GOAL_AGAIN = 0.3

TAKE = "import sys; from pathlib import Path; from mlflows.data.snapshot import take; take(Path(sys.argv[1]), Path(sys.argv[2]))"


def measure(runs: int) -> list[Table]:
    """Whole processes, in turn; each first snapshot goes into an empty store."""
    samples: dict[str, list[float]] = {"tar": [], "first snapshot": [], "unchanged again": []}
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
        code = Path(folder) / "code"
        write_files(code)
        for number in range(runs + 1):
            home = Path(folder) / f"home-{number}"
            take = [sys.executable, "-c", TAKE, str(code), str(home / "store")]
            samples["tar"].append(_time(["tar", "-cf", f"{folder}/{number}.tar", "-C", folder, "code"], home))
            samples["first snapshot"].append(_time(take, home))
            samples["unchanged again"].append(_time(take, home))
    return [table({name: values[1:] for name, values in samples.items()}, runs)]


def write_files(code: Path) -> None:
    """FOLDERS folders of FILES_IN_EACH files, each of other content."""
    for number in range(FOLDERS):
        subfolder = code / f"package_{number:03}"
        subfolder.mkdir(parents=True)
        for file in range(FILES_IN_EACH):
            text = f"# {number} {file}\n"
            (subfolder / f"module_{file:03}.py").write_text(text + "x = 1\n" * ((FILE_BYTES - len(text)) // 6))


def table(samples: dict[str, list[float]], runs: int) -> Table:
    """Medians, each with its ratio to tar, and the goal."""
    middle = {name: median(values) for name, values in samples.items()}
    rows = [(name, [seconds(value), ratio(value, middle["tar"])]) for name, value in middle.items()]
    share = middle["unchanged again"] / middle["tar"]
    return Table(
        f"snapshot of {FOLDERS * FILES_IN_EACH:,} files of {FILE_BYTES} bytes, seconds, whole process (median of {runs})",
        ["seconds", "ratio"],
        rows,
        [under(f"unchanged again under {GOAL_AGAIN} of tar", share, GOAL_AGAIN, "")],
    )


def _time(argv: list[str], home: Path) -> float:
    started = time.perf_counter()
    subprocess.run(argv, check=True, env={**os.environ, "MLFLOWS_HOME": str(home)}, stdin=subprocess.DEVNULL)
    return time.perf_counter() - started
