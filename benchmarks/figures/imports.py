"""What an import costs, above the bare interpreter: time and memory of whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mlflows
from benchmarks.report import Table, under
from benchmarks.timing import median

NAME = "imports"
SCRIPT_SECONDS = 0.030
SCRIPT_MEGABYTES = 15.0

PACKAGE = Path(mlflows.__file__).parent
CASES = {
    "bare interpreter": "pass",
    "import mlflows": "import mlflows",
    "submitting side: Workspace, Experiment, ScriptRunConfig": "from mlflows import Experiment, ScriptRunConfig, Workspace",
    "training script: from mlflows import Run": "from mlflows import Run",
    "training script: from azureml.core import Run": "from azureml.core import Run",
}
TELL_PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
"""Not by getrusage: its figure includes the process that forked."""
BARE, SCRIPT = "bare interpreter", "training script: from azureml.core import Run"


def measure(runs: int) -> list[Table]:
    """Run each case in turn, once uncounted, then ``runs`` times."""
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
        for _ in range(runs + 1):
            for name, code in CASES.items():
                samples[name].append(_run(code, Path(folder), in_job=name.startswith("training script")))
    return [table({name: values[1:] for name, values in samples.items()}, runs)]


def table(samples: dict[str, list[tuple[float, float]]], runs: int) -> Table:
    """Medians of (seconds, megabytes), and what they are above the bare interpreter."""
    middle = {name: (median([s for s, _ in values]), median([m for _, m in values])) for name, values in samples.items()}
    above = {name: (s - middle[BARE][0], m - middle[BARE][1]) for name, (s, m) in middle.items()}
    rows = [
        (name, [f"{s * 1000:.1f}", f"{above[name][0] * 1000:.1f}", f"{s / middle[BARE][0]:.2f} x", f"{m:.1f}", f"{above[name][1]:.1f}"])
        for name, (s, m) in middle.items()
    ]
    return Table(
        f"imports, whole process (median of {runs})",
        ["ms", "ms above bare", "ratio", "peak MB", "MB above bare"],
        rows,
        [
            under("script-side import under 30 ms above bare", above[SCRIPT][0] * 1000, SCRIPT_SECONDS * 1000, "ms"),
            under("script-side import under 15 MB above bare", above[SCRIPT][1], SCRIPT_MEGABYTES, "MB"),
        ],
    )


def _run(code: str, folder: Path, in_job: bool) -> tuple[float, float]:
    """Seconds and peak resident megabytes of ``python -c code``."""
    path = os.pathsep.join([str(PACKAGE / "azureml_path"), str(PACKAGE.parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("MLFLOWS_JOB_FOLDER", None)
    if in_job:
        environment["MLFLOWS_JOB_FOLDER"] = str(folder)
    argv = [sys.executable, "-c", f"{code}\n{TELL_PEAK}"]
    started = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"python -c {code!r} ended with {done.returncode}:\n{done.stderr}")
    return elapsed, int(done.stdout) / 1024
