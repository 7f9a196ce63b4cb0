"""Many trivial runs at once: submitted one after the other from one process, then waited for; every one must be Completed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ours
from benchmarks.peers import TRIVIAL
from benchmarks.report import Goal, Table
from benchmarks.timing import median

NAME = "crowd"
COUNTS = (10, 30, 100)
GOAL_RUNS_PER_SECOND = 7.0

SUBMIT = """\
import json, sys, time
from mlflows import Experiment, ScriptRunConfig, Workspace

began = time.perf_counter()
experiment = Experiment(Workspace.from_config(), "bench-crowd")
runs = [experiment.submit(ScriptRunConfig("code", "trivial.py")) for _ in range(int(sys.argv[1]))]
submitted = time.perf_counter() - began
statuses = {run.wait_for_completion()["status"] for run in runs}
assert statuses == {"Completed"}, statuses
print(json.dumps([submitted, time.perf_counter() - began]))
"""


@dataclass(frozen=True)
class Sample:
    """Seconds until all were submitted and until all were Completed, CPU seconds and resident megabytes of the services."""

    submitted: float
    completed: float
    cpu: float
    memory: float


def measure(runs: int) -> list[Table]:
    """Each number of runs in turn, with services that have had one round already."""
    samples: dict[int, list[Sample]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
        scratch = Path(folder)
        (scratch / "code").mkdir()
        (scratch / "code" / "trivial.py").write_text(TRIVIAL)
        (scratch / "submit.py").write_text(SUBMIT)
        with ours.services(scratch) as environment:
            _round(scratch, environment, COUNTS[0])
            for _ in range(runs):
                for count in COUNTS:
                    samples[count].append(_round(scratch, environment, count))
    return [table(samples, runs)]


def table(samples: dict[int, list[Sample]], runs: int) -> Table:
    """Medians, per run and altogether, and the goal."""
    rows, rates = [], {}
    for count, values in samples.items():
        completed = median([sample.completed for sample in values])
        rates[count] = count / completed
        cells = [
            f"{median([sample.submitted for sample in values]):.2f}",
            f"{completed:.2f}",
            f"{rates[count]:.1f}",
            f"{median([sample.cpu for sample in values]) / count * 1000:.0f}",
            f"{median([sample.memory for sample in values]):.0f}",
        ]
        rows.append((f"{count} runs", cells))
    slowest = min(rates.values())
    return Table(
        f"trivial runs at once, {os.cpu_count()} cores (median of {runs})",
        ["s until submitted", "s until Completed", "runs/s", "services: CPU ms per run", "resident MB"],
        rows,
        [Goal(f"{GOAL_RUNS_PER_SECOND:.0f} runs a second, whatever their number", f"{slowest:.1f}", slowest >= GOAL_RUNS_PER_SECOND)],
    )


def _round(scratch: Path, environment: dict[str, str], count: int) -> Sample:
    pids = ours.service_pids(environment)
    before = _cpu_seconds(pids)
    submitted, completed = json.loads(ours.last_line(["submit.py", str(count)], scratch, environment))
    return Sample(submitted, completed, _cpu_seconds(pids) - before, _megabytes(pids))


def _cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes and of their children that have ended."""
    fields = [line.rpartition(")")[2].split() for line in _of_living(pids, "stat")]
    return sum(int(field) for line in fields for field in line[11:15]) / os.sysconf("SC_CLK_TCK")


def _megabytes(pids: list[int]) -> float:
    return sum(int(line.split()[1]) for line in _of_living(pids, "statm")) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _of_living(pids: list[int], name: str) -> Iterator[str]:
    """A file of /proc for each process that still lives: the runner's spare supervisors come and go."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield Path(f"/proc/{pid}/{name}").read_text()
