"""Logging a metric: what a call costs the script, and how many points a second are in MLflow when all are."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ours
from benchmarks.report import Goal, Table, ratio, under
from benchmarks.timing import median

NAME = "logging"
POINTS = 20_000
PEER_POINTS = 500
GOAL_MICROSECONDS = 10.0
GOAL_POINTS = 9_000.0

TRAIN = f"""\
import json, time
from azureml.core import Run

run = Run.get_context()
began = time.time()
start = time.perf_counter()
for step in range({POINTS}):
    run.log("loss", step * 0.5)
spent = time.perf_counter() - start
with open("outputs/timing.json", "w") as file:
    json.dump([began, spent / {POINTS}], file)
"""

SUBMIT = f"""\
import json, time
from mlflows import Experiment, ScriptRunConfig, Workspace

workspace = Workspace.from_config()
run = Experiment(workspace, "bench-logging").submit(ScriptRunConfig("code", "train.py"))
details = run.wait_for_completion()
ended = time.time()
assert details["status"] == "Completed", details
assert len(run.get_metrics("loss")["loss"]) == {POINTS}
run.download_file("outputs/timing.json", "timing.json")
began, call = json.load(open("timing.json"))
print(json.dumps([call, {POINTS} / (ended - began)]))
"""

PEER = f"""\
import json, sys, time
import mlflow

synchronous = sys.argv[1] == "sync"
mlflow.set_experiment("bench-logging-peer")
with mlflow.start_run() as run:
    mlflow.log_metric("warm", 0)
    began = time.perf_counter()
    for step in range({PEER_POINTS}):
        mlflow.log_metric("loss", step * 0.5, step=step, synchronous=synchronous)
    call = (time.perf_counter() - began) / {PEER_POINTS}
    mlflow.flush_async_logging()
    elapsed = time.perf_counter() - began
assert len(mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")) == {PEER_POINTS}
print(json.dumps([call, {PEER_POINTS} / elapsed]))
"""


@dataclass(frozen=True)
class Sample:
    """Seconds a call takes, and points delivered per second."""

    call: float
    delivered: float


def measure(runs: int) -> list[Table]:
    """Ours and MLflow's own calls, against the same MLflow server, in turn."""
    samples: dict[str, list[Sample]] = {"run.log": [], "mlflow.log_metric": [], "mlflow.log_metric, asynchronous": []}
    with tempfile.TemporaryDirectory(prefix="mlflows-bench-") as folder:
        scratch = Path(folder)
        (scratch / "code").mkdir()
        (scratch / "code" / "train.py").write_text(TRAIN)
        (scratch / "submit.py").write_text(SUBMIT)
        (scratch / "peer.py").write_text(PEER)
        with ours.services(scratch) as environment:
            peers = {**environment, "MLFLOW_TRACKING_URI": ours.tracking_uri(environment)}
            for _ in range(runs + 1):
                samples["run.log"].append(_sample(["submit.py"], scratch, environment))
                samples["mlflow.log_metric"].append(_sample(["peer.py", "sync"], scratch, peers))
                samples["mlflow.log_metric, asynchronous"].append(_sample(["peer.py", "async"], scratch, peers))
    return [table({name: values[1:] for name, values in samples.items()}, runs)]


def table(samples: dict[str, list[Sample]], runs: int) -> Table:
    """Medians, each with its ratio to ours, and the goals."""
    calls = {name: median([sample.call for sample in values]) * 1e6 for name, values in samples.items()}
    delivered = {name: median([sample.delivered for sample in values]) for name, values in samples.items()}
    call, points = calls["run.log"], delivered["run.log"]
    rows = []
    for name, value in calls.items():
        cells = [f"{value:.1f}", ratio(value, call), f"{delivered[name]:,.0f}", ratio(delivered[name], points)]
        rows.append((name, cells))
    return Table(
        f"logging a metric, {POINTS:,} points (peers: {PEER_POINTS}), in MLflow behind its server (median of {runs})",
        ["us per call", "ratio", "points/s delivered", "ratio"],
        rows,
        [
            under(f"run.log under {GOAL_MICROSECONDS:.0f} us a call", call, GOAL_MICROSECONDS, "us"),
            Goal(f"over {GOAL_POINTS:,.0f} points/s delivered, up to Completed", f"{points:,.0f}", points > GOAL_POINTS),
        ],
    )


def _sample(arguments: list[str], scratch: Path, environment: dict[str, str]) -> Sample:
    return Sample(*json.loads(ours.last_line(arguments, scratch, environment)))
