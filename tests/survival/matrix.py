"""The kill matrix: who may die, how, and what must be true of the run afterwards."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.survival.stage import EXPERIMENT, NEVER, Job, Seen, Stage, children, doubled, kill_group, look, steps_in, until

OF_MLFLOW = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
OF_PREFECT = {"Completed": "Completed", "Failed": "Failed", "Canceled": "Cancelled"}
END_SECONDS = 90.0
"""A run that is not closed so long after its harm is lost."""


class Skipped(Exception):
    """This machine cannot hold the cell; the message says what is missing."""


@dataclass(frozen=True)
class Cell:
    """One harm and what comes of it.

    ``whole``: the script runs to its end, and everything it wrote is there. ``gap``: lines and points of the time of harm may be
    missing. ``message`` is a pattern for the run's error, ``within`` the most seconds from the harm to the end.
    """

    name: str
    act: Callable[[Theatre], Job]
    status: str = "Completed"
    whole: bool = True
    gap: bool = False
    message: str = ""
    within: float = END_SECONDS


@dataclass(frozen=True)
class Result:
    """A cell with what was seen, and what of that is wrong."""

    cell: Cell
    seen: Seen | None
    problems: list[str]
    skipped: str = ""


class Theatre:
    """The stages of all cells: one with a runner, two whose runs have a driver each, one with a worker.

    Args:
        folder: everything lies below it.
        away: seconds for which a server is away.
    """

    def __init__(self, folder: Path, away: float) -> None:
        self.away = away
        self.undo = ExitStack()
        self.together = threading.Barrier(2, timeout=120)
        self.local = Stage(folder / "local")
        self.undo.callback(self.local.down)
        self.local.up()
        self.driven, self.doubled, self.worked = [self._stage(folder / name) for name in ("driven", "doubled", "worked")]
        self.lock = threading.Lock()
        self.worker: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """End everything."""
        self.undo.close()

    def _stage(self, folder: Path) -> Stage:
        stage = Stage(folder, self.local.addresses())
        self.undo.callback(stage.down)
        return stage


def play(theatre: Theatre, cells: Sequence[Cell], tell: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """The cells: the chains of a scene at once, the scenes one after the other."""
    results: list[Result] = []

    def follow(chain: Sequence[Cell]) -> None:
        for cell in chain:
            if cell in cells:
                results.append(_played(theatre, cell))
                tell(results[-1])

    for scene in SCENES:
        with ThreadPoolExecutor(len(scene)) as pool:
            list(pool.map(follow, scene))
    return sorted(results, key=lambda result: CELLS.index(result.cell))


def _played(theatre: Theatre, cell: Cell) -> Result:
    try:
        job = cell.act(theatre)
        seen = look(job)
    except Skipped as reason:
        return Result(cell, None, [], str(reason))
    except Exception as error:
        return Result(cell, None, [f"{type(error).__name__}: {error}"])
    return Result(cell, seen, list(_problems(cell, job, seen)))


def _problems(cell: Cell, job: Job, seen: Seen) -> Iterator[str]:
    expected = (cell.status, OF_MLFLOW[cell.status], OF_PREFECT[cell.status])
    if (seen.status, seen.mlflow, seen.prefect) != expected:
        yield f"it is {seen.status}/{seen.mlflow}/{seen.prefect}, not {'/'.join(expected)}: {seen.message}"
    if not re.search(cell.message, seen.message):
        yield f"its message is {seen.message!r}, not {cell.message!r}"
    if seen.starts != job.ranks:
        yield f"{seen.starts} scripts were started, not {job.ranks}"
    for what, numbers in (("line", seen.lines), ("point", seen.points)):
        if doubled(numbers):
            yield f"{what}s {doubled(numbers)} are doubled"
        missing = sorted(set(job.steps()) - set(numbers))
        if missing and not cell.gap:
            yield f"{what}s {missing} are missing"
    if doubled(seen.prefect_lines):
        yield f"lines {doubled(seen.prefect_lines)} are doubled in Prefect's log"
    wanted = {"outputs/part.txt", *(["outputs/last.txt"] if cell.whole else [])}
    if wanted - set(seen.outputs):
        yield f"the outputs are {seen.outputs}"
    if seen.left:
        yield f"left over: {', '.join(seen.left)}"
    if job.harmed is not None and job.ended is not None and job.ended - job.harmed > cell.within:
        yield f"it took {job.ended - job.harmed:.1f} s to end"


# cells of the stage with a runner


def script(theatre: Theatre) -> Job:
    """The script's process."""
    job = theatre.local.submit("script", 60).begun()
    os.kill(job.rank_pid(), signal.SIGKILL)
    return job.hurt().closed(END_SECONDS)


def rank(theatre: Theatre) -> Job:
    """The second rank of two."""
    job = theatre.local.submit("rank", 60, ranks=2).begun()
    os.kill(job.rank_pid(1), signal.SIGKILL)
    return job.hurt().closed(END_SECONDS)


def supervisor(theatre: Theatre) -> Job:
    """The supervisor."""
    job = theatre.local.submit("supervisor", 60).begun()
    os.kill(job.supervisor()["pid"], signal.SIGKILL)
    return job.hurt().closed(END_SECONDS)


def submitter(theatre: Theatre) -> Job:
    """The submitting process, as soon as submit has returned."""
    job = theatre.local.submit("submitter", 8, stay=True)
    assert job.submitter is not None
    job.submitter.kill()
    job.submitter.wait()
    return job.hurt().closed(END_SECONDS)


def retried(theatre: Theatre) -> Job:
    """Ten wishes to run it again, while it runs."""
    job = theatre.local.submit("retried", 10).begun()
    for _ in range(10):
        job.retry()
        time.sleep(0.4)
    return job.hurt().closed(END_SECONDS)


def full_for_a_while(theatre: Theatre) -> Job:
    """The disk of the job folder is full for 3 s."""
    job = _on_small_disk(theatre, "full-a-while", 10)
    filler = _fill(job)
    time.sleep(3)
    filler.unlink()
    return job.hurt().closed(END_SECONDS)


def full_to_the_end(theatre: Theatre) -> Job:
    """The disk of the job folder is full, and stays so."""
    job = _on_small_disk(theatre, "full", 5)
    _fill(job)
    return job.hurt().closed(END_SECONDS)


def _on_small_disk(theatre: Theatre, name: str, seconds: float) -> Job:
    if os.geteuid():
        raise Skipped("needs root for tmpfs")
    job = theatre.local.job(name)
    job.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(job.folder)], check=True)
    theatre.undo.callback(subprocess.run, ["umount", "-l", str(job.folder)], check=False)
    return theatre.local.submit(name, seconds, job=job).begun()


def _fill(job: Job) -> Path:
    filler = job.folder / "filler"
    with filler.open("wb", buffering=0) as handle:
        try:
            while True:
                handle.write(b"\0" * 4096)
        except OSError:
            pass
    return filler


def runner(theatre: Theatre) -> Job:
    """The resident runner: flow and collector live in it."""
    job = theatre.local.submit("runner", 12).begun(40)
    guard = job.stage.record["runner"]["pid"]
    for pid in children(guard):
        os.kill(pid, signal.SIGKILL)
    return job.hurt().closed(END_SECONDS)


def runner_at_once(theatre: Theatre) -> Job:
    """The runner, as soon as submit has returned."""
    job = theatre.local.submit("at-once", 3)
    for pid in children(job.stage.record["runner"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    return job.hurt().closed(END_SECONDS)


def runner_and_supervisor(theatre: Theatre) -> Job:
    """The runner, its guard and the supervisor, as when the machine is switched off."""
    job = theatre.local.submit("all", 60).begun()
    kill_group(job.stage.record["runner"]["pid"])
    os.kill(job.supervisor()["pid"], signal.SIGKILL)
    os.kill(job.rank_pid(), signal.SIGKILL)
    job.stage.up()
    return job.hurt().closed(END_SECONDS)


def runner_and_cancel(theatre: Theatre) -> Job:
    """The runner and its guard; before somebody is back, the run is canceled in Prefect."""
    job = theatre.local.submit("wish", 60).begun()
    kill_group(job.stage.record["runner"]["pid"])
    job.cancel()
    job.stage.up()
    return job.hurt().closed(END_SECONDS)


def runner_and_end(theatre: Theatre) -> Job:
    """The runner and its guard; the run ends before anybody is back."""
    job = theatre.local.submit("nobody", 3).begun()
    kill_group(job.stage.record["runner"]["pid"])
    until(lambda: (job.folder / "status.json").exists(), 20, "the job has ended")
    job.stage.up()
    return job.hurt().closed(END_SECONDS)


# cells of the servers


def prefect_server(theatre: Theatre) -> Job:
    """Prefect's server, back on the same port and database."""
    return _server(theatre, "prefect", theatre.away + 5)


def prefect_server_at_the_end(theatre: Theatre) -> Job:
    """The same; the run ends meanwhile."""
    return _ending(theatre, "prefect-end")


def mlflow_server(theatre: Theatre) -> Job:
    """MLflow's server."""
    return _server(theatre, "mlflow", theatre.away + 5)


def mlflow_server_at_the_end(theatre: Theatre) -> Job:
    """The same; the run ends meanwhile."""
    return _ending(theatre, "mlflow-end")


def _server(theatre: Theatre, name: str, seconds: float) -> Job:
    job = theatre.local.submit(name, seconds).begun(20)
    theatre.together.wait()
    before = job.stage.record[name]
    kill_group(before["pid"])
    time.sleep(theatre.away)
    job.stage.up()
    assert job.stage.record[name]["url"] == before["url"]
    return job.hurt().closed(END_SECONDS)


def _ending(theatre: Theatre, name: str) -> Job:
    """A run that ends 4 s after the harm to the other one's server."""
    job = theatre.local.submit(name, 60).begun(20)
    theatre.together.wait()
    time.sleep(4)
    (job.witness.with_suffix(".stop")).touch()
    return job.hurt(theatre.away - 4).closed(END_SECONDS + theatre.away)


def mlflow_database(theatre: Theatre) -> Job:
    """MLflow's database is locked."""
    job = theatre.local.submit("database", theatre.away + 5).begun(20)
    theatre.together.wait()
    path = job.stage.home / "services" / "mlflow" / "mlflow.db"
    with sqlite3.connect(path, isolation_level=None, timeout=30) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(theatre.away)
        connection.execute("ROLLBACK")
    connection.close()
    return job.hurt().closed(END_SECONDS)


def mlflow_database_at_the_end(theatre: Theatre) -> Job:
    """The same; the run ends meanwhile."""
    return _ending(theatre, "database-end")


# cells of runs without a runner


def driver(theatre: Theatre) -> Job:
    """The detached driver process; then the doctor."""
    job = theatre.driven.submit("driver", 15).begun(40)
    _kill_flow(job)
    theatre.driven.mlflows("doctor")
    return job.hurt().closed(END_SECONDS)


def doubled_flow(theatre: Theatre) -> Job:
    """Two more flows beside the first."""
    job = theatre.doubled.submit("doubled", 15).begun()
    adopt = (
        "import json, sys\nfrom pathlib import Path\nfrom mlflows.flows import handoff, services\n"
        "flow = json.loads(Path(sys.argv[1], 'flow.json').read_text())\n"
        "handoff.adopt(flow['spec'], sys.argv[2], flow['flow_run_id'], services.ensure_up())\n"
    )
    for _ in range(2):
        job.stage.run([sys.executable, "-c", adopt, str(job.folder), job.run_id])
    job.hurt().closed(END_SECONDS)
    until(lambda: not job.flow_pids(), 15, "the other flows have ended, too")
    return job


def flow_of_worker(theatre: Theatre) -> Job:
    """The flow's process; the worker that started it lives."""
    job = _worked(theatre, "flow", 20)
    _kill_flow(job)
    return job.hurt().closed(END_SECONDS)


def cancelled_with_worker(theatre: Theatre) -> Job:
    """No harm: cancelled in Prefect."""
    job = _worked(theatre, "cancelled", 120)
    job.cancel()
    asked = time.time()
    job.hurt().closed(END_SECONDS)
    assert job.witness.stat().st_mtime - asked < 3, f"the script went on for {job.witness.stat().st_mtime - asked:.1f} s"
    return job


def worker_and_flow(theatre: Theatre) -> Job:
    """The worker and the flow's process; then the doctor."""
    job = _worked(theatre, "worker", 20)
    assert theatre.worker is not None
    os.kill(theatre.worker.pid, signal.SIGKILL)
    _kill_flow(job)
    theatre.worked.mlflows("doctor")
    return job.hurt().closed(END_SECONDS)


def _worked(theatre: Theatre, name: str, seconds: float) -> Job:
    """A run of a deployment that a worker has begun."""
    stage = theatre.worked
    job, deployment = stage.job(name), _deployment(theatre)
    spec = {
        "source_directory": str(stage.scratch / "code"),
        "script": "train.py",
        "arguments": [str(steps_in(seconds)), str(job.witness), str(steps_in(NEVER))],
        "experiment": EXPERIMENT,
    }
    stage.prefect().post(f"/deployments/{deployment}/create_flow_run", {"parameters": {"job": spec, "run_id": job.run_id}})
    return job.begun(seconds=120)


def _deployment(theatre: Theatre) -> str:
    """The flow on a work pool that has a worker; made by whoever comes first."""
    stage, prefect = theatre.worked, theatre.worked.prefect()
    with theatre.lock:
        if theatre.worker is None:
            prefect.post("/work_pools/", {"name": EXPERIMENT, "type": "process", "base_job_template": {}})
            command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", EXPERIMENT, "--type", "process"]
            theatre.worker = stage.background(command, "worker.log", PREFECT_WORKER_QUERY_SECONDS="1")
            until(lambda: prefect.post(f"/work_pools/{EXPERIMENT}/workers/filter", {}), 120, "the worker is there")
        flow = prefect.post("/flows/", {"name": "script-run"})["id"]
        made = {"name": "worked", "flow_id": flow, "entrypoint": "mlflows.flows.script_run.script_run", "work_pool_name": EXPERIMENT}
        return str(prefect.post("/deployments/", made)["id"])


def _kill_flow(job: Job) -> None:
    for pid in job.flow_pids():
        os.kill(pid, signal.SIGKILL)


EACH = [
    Cell("script", script, "Failed", whole=False, message="SIGKILL"),
    Cell("one rank of two", rank, "Failed", whole=False, message="SIGKILL", within=5),
    Cell("supervisor", supervisor, "Failed", whole=False, message="supervisor of the run disappeared"),
    Cell("submitter", submitter),
    Cell("retried ten times", retried),
    Cell("disk full for 3 s", full_for_a_while, gap=True),
    Cell("disk full to the end", full_to_the_end, whole=False, gap=True),
    Cell("flow process, worker lives", flow_of_worker),
    Cell("canceled, by a worker", cancelled_with_worker, "Canceled", whole=False, within=10),
]
"""Touch only their own run."""
RUNNER = [
    Cell("runner, flow, collector", runner),
    Cell("runner, right after submit", runner_at_once),
    Cell("runner and guard, run ends", runner_and_end),
    Cell("runner, guard, supervisor, script", runner_and_supervisor, "Failed", whole=False, message="machine restarted"),
    Cell("runner and guard, run canceled", runner_and_cancel, "Canceled", whole=False),
]
WITHOUT_RUNNER = [
    Cell("driver, then doctor", driver),
    Cell("flow doubled twice", doubled_flow),
    Cell("worker and flow, then doctor", worker_and_flow),
]
SERVERS = [
    [Cell("Prefect server away", prefect_server), Cell("Prefect server away, run ends", prefect_server_at_the_end)],
    [Cell("MLflow server away", mlflow_server), Cell("MLflow server away, run ends", mlflow_server_at_the_end)],
    [Cell("MLflow's database locked", mlflow_database), Cell("MLflow's database locked, run ends", mlflow_database_at_the_end)],
]
"""Two runs at once of which the second ends while the server is away."""
SCENES = [
    [[cell] for cell in EACH],
    [RUNNER, *([cell] for cell in WITHOUT_RUNNER)],
    *([[cell] for cell in pair] for pair in SERVERS),
]
"""Chains of cells: those of a scene at once, each cell of a chain after the former."""
CELLS = [cell for scene in SCENES for chain in scene for cell in chain]
