"""Services of their own in a folder, runs on them, and what is known of a run afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflows.compute.processes import job_processes, start_ticks
from mlflows.history import runs
from mlflows.history import tags as names
from mlflows.history.artifacts import Artifacts
from mlflows.history.tracking import Tracking, TrackingUnreachable
from mlflows.rest import RestClient, Unreachable

ROOT = Path(__file__).parents[2]
EXPERIMENT = "survival"
STEP_SECONDS = 0.1
NEVER = 1e6
TERMINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
FOREIGN = ("MLFLOWS_", "MLFLOW_", "PREFECT_", "AZUREML_")

TRAIN = """
import os, sys, time
from azureml.core import Run

steps, witness, first, rank = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), os.environ.get("RANK", "0")
run = Run.get_context()
os.makedirs("outputs", exist_ok=True)
if rank == "0":
    with open("outputs/part.txt", "w") as part:
        part.write("early")
seen = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(seen, b"start\\n")
starts = open(witness).read().count("start")
for step in range(steps):
    if os.path.exists(witness[:-5] + "stop"):
        break
    if rank == "0":
        print("line", step, "." * 500, flush=True)
        run.log("tick", step, "." * 500)
        os.write(seen, b"%d\\n" % step)
    if step >= first and starts == 1:
        raise ValueError("the first attempt fails")
    time.sleep({seconds})
if rank == "0":
    try:
        with open("outputs/last.txt", "w") as last:
            last.write("late")
    except OSError as error:
        print("no last.txt:", error)
""".replace("{seconds}", str(STEP_SECONDS))
"""Logs a line and a point a step; what the kernel has taken of them it writes down outside the job folder, for the comparison."""

SUBMIT = """
import json, sys
from azureml.core import Experiment, ScriptRunConfig, Workspace
from mlflows import PyTorchConfiguration

folder, steps, witness, ranks, run_id, stay, first = sys.argv[1:]
several = PyTorchConfiguration(process_count=int(ranks), node_count=1) if int(ranks) > 1 else None
config = ScriptRunConfig(folder, "train.py", arguments=[steps, witness, first], distributed_job_config=several)
run = Experiment(Workspace.from_config(), "survival").submit(config, run_id=run_id)
print("RUN", run.id, flush=True)
if stay == "stay":
    run.wait_for_completion(show_output=True)
"""


class Patient(RestClient):
    """Prefect on SQLite answers 503 when several write at once."""

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Send JSON, get JSON; for up to 30 s."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return super().request(method, path, body)
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)


class Stage:
    """A home with services, or one that uses another stage's.

    Args:
        folder: everything lies below it.
        servers: environment variables that name the servers; none: it starts its own.
    """

    def __init__(self, folder: Path, servers: Mapping[str, str] = {}) -> None:
        self.home = folder / "home"
        self.scratch = folder / "scratch"
        (self.scratch / "code").mkdir(parents=True, exist_ok=True)
        (self.scratch / "code" / "train.py").write_text(TRAIN)
        (self.scratch / "submit.py").write_text(SUBMIT)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        path = os.pathsep.join([str(ROOT / "mlflows" / "azureml_path"), str(ROOT)])
        self.environment = {**clean, "MLFLOWS_HOME": str(self.home), "DO_NOT_TRACK": "1", "PYTHONPATH": path, **servers}
        self._servers = dict(servers)
        self._started: list[subprocess.Popen[bytes]] = []

    def up(self) -> None:
        """Start what is missing."""
        self.mlflows("up")

    def down(self) -> None:
        """Stop everything, and whatever a failed cell has left."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.mlflows("down")
        for folder, pids in job_processes().items():
            if folder.startswith(str(self.home)):
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)

    def mlflows(self, *arguments: str) -> str:
        """What ``mlflows`` with these arguments prints."""
        return self.run([sys.executable, "-m", "mlflows", *arguments])

    def run(self, command: Sequence[str], **environment: str) -> str:
        """What a command prints, standard error included.

        Raises:
            AssertionError: it did not end with 0.
        """
        done = subprocess.run(
            command,
            cwd=self.scratch,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def background(self, command: Sequence[str], log: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command that goes on until ``down``."""
        with (self.scratch / log).open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.scratch,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    @property
    def record(self) -> dict[str, Any]:
        """services.json."""
        return json.loads((self.home / "services" / "services.json").read_text())  # type: ignore[no-any-return]

    def addresses(self) -> dict[str, str]:
        """The environment variables that name this stage's servers."""
        if self._servers:
            return self._servers
        record = self.record
        return {"PREFECT_API_URL": record["prefect"]["url"] + "/api", "MLFLOW_TRACKING_URI": record["mlflow"]["url"]}

    def tracking(self) -> Tracking:
        """MLflow."""
        return Tracking(self.addresses()["MLFLOW_TRACKING_URI"])

    def prefect(self) -> Patient:
        """Prefect."""
        return Patient(self.addresses()["PREFECT_API_URL"])

    def job(self, name: str, ranks: int = 1) -> Job:
        """A run that nobody has submitted yet."""
        run_id = f"{EXPERIMENT}-{name}_{int(time.time())}_{os.urandom(4).hex()}"
        return Job(self, run_id, self.scratch / f"{run_id}.steps", time.monotonic(), ranks)

    def submit(self, name: str, seconds: float, ranks: int = 1, stay: bool = False, job: Job | None = None, first: float = NEVER) -> Job:
        """Submit a script.

        Args:
            name: part of the run's id.
            seconds: how long it takes.
            ranks: processes.
            stay: the submitter waits for its end.
            job: the run, where the caller has made it.
            first: its first start fails after so long.
        """
        job = job or self.job(name, ranks)
        arguments = [self.scratch / "code", steps_in(seconds), job.witness, ranks, job.run_id, "stay" if stay else "go", steps_in(first)]
        log = self.scratch / f"{job.run_id}.submit"
        with log.open("w") as output:
            job.submitter = subprocess.Popen(
                [sys.executable, str(self.scratch / "submit.py"), *map(str, arguments)],
                cwd=self.scratch,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        submitter = job.submitter
        until(lambda: "RUN " in log.read_text() or submitter.poll() is not None, 120, "it is submitted")
        assert "RUN " in log.read_text(), f"not submitted:\n{log.read_text()}"
        return job


@dataclass
class Job:
    """A submitted run."""

    stage: Stage
    run_id: str
    witness: Path
    began: float
    ranks: int = 1
    submitter: subprocess.Popen[bytes] | None = None
    harmed: float | None = None
    ended: float | None = None

    @property
    def folder(self) -> Path:
        """Its job folder."""
        return self.stage.home / "runs" / self.run_id

    def begun(self, steps: int = 10, seconds: float = 60) -> Job:
        """Wait until it has made so many steps."""
        until(lambda: len(self.steps()) >= steps, seconds, f"{self.run_id} has made {steps} steps")
        return self

    def steps(self) -> list[int]:
        """The steps whose line and point the kernel has taken."""
        return [int(line) for line in self._witnessed() if line != "start"]

    def starts(self) -> int:
        """How often a script was started."""
        return self._witnessed().count("start")

    def _witnessed(self) -> list[str]:
        return self.witness.read_text().splitlines() if self.witness.exists() else []

    def supervisor(self) -> dict[str, Any]:
        """supervisor.json."""
        return json.loads((self.folder / "system_logs" / "supervisor.json").read_text())  # type: ignore[no-any-return]

    def rank_pid(self, rank: int = 0) -> int:
        """Pid of a rank of the script."""
        return int(next(each["pid"] for each in self.supervisor()["processes"] if each["rank"] == rank))

    def flow_pids(self) -> list[int]:
        """The processes whose flow drives it: they have its lock open."""
        return holders(self.folder / "flow.lock")

    def hurt(self, lasting: float = 0.0) -> Job:
        """The harm is done, or is so many seconds from now."""
        self.harmed = time.monotonic() + lasting
        return self

    def cancel(self) -> None:
        """As Prefect's UI does."""
        self._set_state("CANCELLING", "Cancelling")

    def retry(self) -> None:
        """As ``prefect flow-run retry`` and Prefect's UI do."""
        self._set_state("SCHEDULED", "AwaitingRetry")

    def _set_state(self, kind: str, name: str) -> None:
        path = f"/flow_runs/{self.flow_run()['id']}/set_state"
        self.stage.prefect().post(path, {"state": {"type": kind, "name": name}, "force": kind == "SCHEDULED"})

    def closed(self, seconds: float) -> Job:
        """Wait for its end."""
        until((self.folder / "closed.json").exists, seconds, f"{self.run_id} is closed")
        self.ended = time.monotonic()
        return self

    def flow_run(self) -> dict[str, Any]:
        """The flow run in Prefect."""
        found = self.stage.prefect().post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [self.run_id]}}})
        if not found:  # a worker's: named by Prefect
            flow_run_id = json.loads((self.folder / "flow.json").read_text())["flow_run_id"]
            return self.stage.prefect().get(f"/flow_runs/{flow_run_id}")  # type: ignore[no-any-return]
        assert len(found) == 1, f"{len(found)} flow runs are named {self.run_id}"
        return found[0]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Seen:
    """What is to be seen of a run that has ended."""

    status: str
    mlflow: str
    prefect: str
    message: str
    lines: list[int]
    points: list[int]
    outputs: list[str]
    starts: int
    left: list[str]
    prefect_lines: list[int]
    seconds: float


def look(job: Job) -> Seen:
    """Read it from both servers, the process table and the locks."""
    tracking = job.stage.tracking()
    run = runs.find_run(tracking, job.run_id)
    assert run is not None, f"MLflow knows no run {job.run_id}"
    artifacts = Artifacts(tracking, run.run_id, run.artifact_uri)
    log = "std_log.txt" if job.ranks == 1 else "std_log_process_0.txt"
    text = artifacts.read(f"user_logs/{log}").decode()
    # the one that closes a run from outside its flow tells Prefect last
    flow_run = until(lambda: ended if (ended := job.flow_run())["state_type"] in TERMINAL else None, 30, "Prefect has it as ended")
    return Seen(
        status=run.tags[names.STATUS],
        mlflow=run.status,
        prefect=flow_run["state_name"],
        message=str(json.loads(run.tags.get(names.ERROR) or "{}").get("message", "")),
        lines=_numbers(text),
        points=[round(point.value) for point in tracking.metric_history(run.run_id, "tick")],  # type: ignore[arg-type]
        outputs=[file.path for file in artifacts.files("outputs")],
        starts=job.starts(),
        left=[*_left_over(job), *_task_runs(job, flow_run["id"])],
        prefect_lines=_prefect_lines(job, flow_run["id"]),
        seconds=(job.ended or time.monotonic()) - job.began,
    )


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^(?:\[rank 0\] )?line (\d+) \.{500}$", text, re.MULTILINE)]


def _prefect_lines(job: Job, flow_run_id: str) -> list[int]:
    lines: list[str] = []
    while True:
        body = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "offset": len(lines), "sort": "TIMESTAMP_ASC"}
        page = job.stage.prefect().post("/logs/filter", body)
        lines += [entry["message"] for entry in page]
        if not page:
            return _numbers("\n".join(lines))


def _task_runs(job: Job, flow_run_id: str) -> list[str]:
    """Those that have not ended; Prefect's server writes their states a little later than the flow run's."""
    wanted = {"flow_runs": {"id": {"any_": [flow_run_id]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
    with contextlib.suppress(AssertionError):
        until(lambda: not job.stage.prefect().post("/task_runs/filter", wanted), 10, "no task run goes on")
        return []
    return [f"task run {task['name']} {task['state_name']}" for task in job.stage.prefect().post("/task_runs/filter", wanted)]


def _left_over(job: Job) -> list[str]:
    """Processes of the run, held locks, temporary files."""
    pids = job_processes(job.folder).get(str(job.folder), [])
    pids += [pid for pid in _working_in(job.folder) if pid not in pids]
    found = [f"process {pid}" for pid in pids]
    found += [f"lock {path.name}" for path in job.folder.rglob("*.lock") if _held(path)]
    found += [f"file {path.name}" for path in job.folder.rglob("*.tmp") if "code" not in path.relative_to(job.folder).parts]
    return found


def _working_in(folder: Path) -> list[int]:
    """Processes whose working directory is in the folder: its supervisor, and what that has forked."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and start_ticks(int(entry.name)) is not None:
            with contextlib.suppress(OSError):
                if Path(os.readlink(f"{entry.path}/cwd")).is_relative_to(folder):
                    found.append(int(entry.name))
    return found


def _held(path: Path) -> bool:
    with path.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def steps_in(seconds: float) -> int:
    """Steps of the script in that time."""
    return round(seconds / STEP_SECONDS)


def doubled(numbers: Sequence[int]) -> list[int]:
    """Those that are there more than once."""
    return [number for number, count in Counter(numbers).items() if count > 1]


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for a true value, and return it.

    Raises:
        AssertionError: it took longer.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            value = condition()
        except (Unreachable, TrackingUnreachable):
            value = None
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"after {seconds:g} s it is not so that {what}")


def kill_group(pid: int) -> None:
    """SIGKILL to a process group; returns when its leader is gone."""
    os.killpg(pid, signal.SIGKILL)
    until(lambda: start_ticks(pid) is None, 10, f"process {pid} is gone")


def holders(path: Path) -> list[int]:
    """Processes that have a file open."""
    found = []
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and any(link.exists() and path.samefile(link) for link in Path(entry.path, "fd").iterdir()):
                found.append(int(entry.name))
    return found


def children(pid: int) -> list[int]:
    """Live processes that it started."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found
