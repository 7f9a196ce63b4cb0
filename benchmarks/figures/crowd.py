"""Many trivial runs at once: submitted one after the other from one process, then waited for; every one must be Completed.

The peers have nothing that takes runs: PEER_RUNS of their own commands are started together.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from benchmarks import ours, scratch
from benchmarks.peers import TRIVIAL, metaflow_flow, submitit_job
from benchmarks.report import Goal, Table, ratio
from benchmarks.timing import at_once, median

NAME = "crowd"
COUNTS = (10, 30, 100)
PEERS = (submitit_job, metaflow_flow)
PEER_RUNS = 30
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
    """Seconds until all were submitted and until all were Completed; of the services CPU seconds, resident megabytes, answers 503."""

    submitted: float
    completed: float
    cpu: float
    memory: float
    refused: int


def measure(runs: int) -> list[Table]:
    """Each number of runs in turn, with services that have had one round already; then the peers."""
    samples: dict[int, list[Sample]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
        root = Path(folder)
        (root / "code").mkdir()
        (root / "code" / "trivial.py").write_text(TRIVIAL)
        (root / "submit.py").write_text(SUBMIT)
        with ours.services(root) as environment:
            _round(root, environment, COUNTS[0])
            for _ in range(runs):
                for count in COUNTS:
                    samples[count].append(_round(root, environment, count))
        peers = {peer.NAME: _peer(peer, root, runs) for peer in PEERS}
    return [table(samples, peers, runs)]


def _peer(peer: ModuleType, root: Path, runs: int) -> list[float]:
    folder = root / peer.PACKAGE
    folder.mkdir()
    with peer.prepared(folder, scratch.interpreter(peer.PACKAGE, peer.REQUIREMENTS)) as command:
        at_once(command, 1)
        return [at_once(command, PEER_RUNS) for _ in range(min(runs, 3))]


def table(samples: dict[int, list[Sample]], peers: dict[str, list[float]], runs: int) -> Table:
    """Medians, per run and altogether, and the goal."""
    rates = {count: count / median([sample.completed for sample in values]) for count, values in samples.items()}
    rows = [(f"{count} runs", _cells(count, values, rates)) for count, values in samples.items()]
    for name, seconds in peers.items():
        rate = PEER_RUNS / median(seconds)
        rows.append((f"{name}, {PEER_RUNS}", ["", f"{median(seconds):.2f}", f"{rate:.1f}", ratio(rate, rates[PEER_RUNS]), "", "", ""]))
    slowest = min(rates.values())
    return Table(
        f"trivial runs at once, {os.cpu_count()} cores (median of {runs})",
        ["s until submitted", "s until Completed", "runs/s", "ratio", "services: CPU ms per run", "resident MB", "503s per run"],
        rows,
        [Goal(f"{GOAL_RUNS_PER_SECOND:.0f} runs a second, whatever their number", f"{slowest:.1f}", slowest >= GOAL_RUNS_PER_SECOND)],
    )


def _cells(count: int, values: list[Sample], rates: dict[int, float]) -> list[str]:
    return [
        f"{median([sample.submitted for sample in values]):.2f}",
        f"{median([sample.completed for sample in values]):.2f}",
        f"{rates[count]:.1f}",
        ratio(rates[count], rates[PEER_RUNS]),
        f"{median([sample.cpu for sample in values]) / count * 1000:.0f}",
        f"{median([sample.memory for sample in values]):.0f}",
        f"{median([sample.refused for sample in values]) / count:.2f}",
    ]


def _round(root: Path, environment: dict[str, str], count: int) -> Sample:
    pids = ours.service_pids(environment)
    before, refused = _cpu_seconds(pids), ours.overloaded(environment)
    submitted, completed = json.loads(ours.last_line(["submit.py", str(count)], root, environment))
    return Sample(submitted, completed, _cpu_seconds(pids) - before, _megabytes(pids), ours.overloaded(environment) - refused)


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
