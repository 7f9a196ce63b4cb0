"""Log lines per second, end to end: from the script's first line to Completed, with every line in MLflow."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import ours
from benchmarks.report import Table, ratio
from benchmarks.timing import median

NAME = "lines"
LINES = 200_000

TRAIN = f"""\
for number in range({LINES}):
    print("epoch 1 batch", number, "loss 0.123456 learning rate 0.001")
"""

SUBMIT = f"""\
import time
from mlflows import Experiment, ScriptRunConfig, Workspace

began = time.perf_counter()
run = Experiment(Workspace.from_config(), "bench-lines").submit(ScriptRunConfig("code", "train.py"))
details = run.wait_for_completion()
elapsed = time.perf_counter() - began
assert details["status"] == "Completed", details
run.download_file("user_logs/std_log.txt", "log.txt")
assert sum(1 for _ in open("log.txt")) >= {LINES}
print(elapsed)
"""


def measure(runs: int) -> list[Table]:
    """A run, and the script alone through a pipe into a file, in turn."""
    samples: dict[str, list[float]] = {"a run, submit to Completed": [], "the script alone, through cat into a file": []}
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
        scratch = Path(folder)
        (scratch / "code").mkdir()
        (scratch / "code" / "train.py").write_text(TRAIN)
        (scratch / "submit.py").write_text(SUBMIT)
        with ours.services(scratch) as environment:
            for _ in range(runs + 1):
                samples["a run, submit to Completed"].append(float(ours.last_line(["submit.py"], scratch, environment)))
                samples["the script alone, through cat into a file"].append(_alone(scratch))
    return [table({name: values[1:] for name, values in samples.items()}, runs)]


def table(samples: dict[str, list[float]], runs: int) -> Table:
    """Medians, with the ratio to the script alone."""
    rates = {name: LINES / median(values) for name, values in samples.items()}
    alone = rates["the script alone, through cat into a file"]
    rows = [(name, [f"{rate:,.0f}", ratio(rate, alone)]) for name, rate in rates.items()]
    return Table(f"log lines per second, {LINES:,} lines (median of {runs})", ["lines/s", "ratio"], rows)


def _alone(scratch: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["sh", "-c", '"$0" -u code/train.py | cat > alone.txt', sys.executable], cwd=scratch, check=True)
    return time.perf_counter() - began
