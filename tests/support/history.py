"""Job folders written by hand, and a history that keeps everything in memory, for the tests of the history."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflows.history.limits import key_of
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Metric, MlflowRun, Tracking, TrackingUnreachable, batches
from mlflows.settings import Servers

FOLDERS = ("events", "mailbox", "uploads", "user_logs", "system_logs", "code/outputs", "code/logs")


class JobFolder:
    """A job folder and what a script would write into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in FOLDERS:
            (path / name).mkdir(parents=True, exist_ok=True)

    def event(self, event: str, /, rank: int = 0, **body: Any) -> None:
        """One line of events."""
        with (self.path / "events" / f"rank-{rank}.jsonl").open("a") as handle:
            handle.write(json.dumps({"t": int(time.time() * 1000), "e": event, **body}) + "\n")

    def metric(self, name: str, value: Any, **body: Any) -> None:
        """``run.log``."""
        self.event("metric", name=name, value=value, **{"step": None, **body})

    def write(self, name: str, content: str | bytes) -> Path:
        """A file of the folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def ask(self, op: str, run_id: str, seconds: float = 10.0, **args: Any) -> dict[str, Any]:
        """A question in the mailbox, and its answer."""
        identity = f"{op}-{time.monotonic_ns()}"
        request = self.write(f"mailbox/{identity}.tmp", json.dumps({"id": identity, "op": op, "args": args, "run": run_id}))
        request.rename(self.path / "mailbox" / f"{identity}.request.json")
        answer, deadline = self.path / "mailbox" / f"{identity}.answer.json", time.monotonic() + seconds
        while not answer.exists():
            assert time.monotonic() < deadline, f"no answer to {op}"
            time.sleep(0.005)
        return dict(json.loads(answer.read_text()))


@dataclass
class Workspace:
    """What the client-side Run asks of a workspace."""

    tracking: Tracking
    name: str = "local"

    def _tracking(self) -> Tracking:
        return self.tracking

    def _servers(self) -> Servers:
        return Servers("http://prefect/api", self.tracking.uri, "http://prefect", self.tracking.ui_url, local=True)

    def _experiment(self, name: str) -> Experiment:
        return Experiment(self, name)


@dataclass
class Experiment:
    """What the client-side Run asks of an experiment."""

    workspace: Workspace
    name: str
    submitted: list[Any] = field(default_factory=list)


class MemoryRest:
    """Takes the place of the transport where nothing is sent."""

    def close(self) -> None:
        return None

    def raw(self, method: str, path: str, data: Any = None, headers: Any = None) -> bytes:
        return b""


class MemoryTracking(Tracking):
    """One run, kept as MLflow keeps it: a point is there once, however often it is sent. It may break off at any request."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.rest = MemoryRest()  # type: ignore[assignment]
        self.points: set[Metric] = set()
        self.tags: dict[str, str] = {}
        self.params: dict[str, str] = {}
        self.requests = 0
        self.failing: set[int] = set()
        """Numbers of requests that get no answer: the odd ones are carried out all the same."""

    def log_batch(self, mlflow_run_id: str, metrics: Any = (), params: Any = {}, tags: Any = {}) -> None:
        for body in batches(metrics, params, tags):
            self._request(body)

    def update_run(self, mlflow_run_id: str, status: str | None = None, end_ms: int | None = None, name: str | None = None) -> None:
        return None

    def delete_tag(self, mlflow_run_id: str, key: str) -> None:
        self.tags.pop(key_of(key), None)

    def get_run(self, mlflow_run_id: str) -> MlflowRun:
        return MlflowRun(mlflow_run_id, "0", "RUNNING", 0, None, REF.artifact_uri, "", dict(self.tags), {}, {}, {})

    def series(self, key: str) -> list[tuple[int, float | str]]:
        """Steps and values of a metric, in order."""
        return sorted((point.step, point.value) for point in self.points if point.key == key)

    def _request(self, body: dict[str, Any]) -> None:
        self.requests += 1
        lost = self.requests in self.failing
        if lost and self.requests % 2 == 0:
            raise TrackingUnreachable("no answer")
        self.points |= {Metric(**metric) for metric in body.get("metrics", ())}
        self.tags.update({pair["key"]: pair["value"] for pair in body.get("tags", ())})
        self.params.update({pair["key"]: pair["value"] for pair in body.get("params", ())})
        if lost:
            raise TrackingUnreachable("no answer")


REF = RunRef("run_1", "0" * 32, "0", "exp", "mlflow-artifacts:/0/x/artifacts")
