"""A run that a person begins again, cancels at its end, or stops with Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import time

from mlflows.history import runs
from mlflows.history.artifacts import Artifacts
from tests.survival.matrix import Theatre
from tests.survival.stage import EXPERIMENT, NEVER, doubled, kill_group, look, steps_in, until

SECONDS = 60.0


def test_a_failed_run_that_is_retried_is_a_new_attempt_of_the_same_run(theatre: Theatre) -> None:
    job = theatre.local.submit("again", 3, first=1).closed(SECONDS)
    before = look(job)
    assert (before.status, before.message) == ("Failed", "User program failed with ValueError: the first attempt fails")
    job.retry()
    until(lambda: job.starts() == 2, 30, "it is started again")
    run = runs.find_run(theatre.local.tracking(), job.run_id)
    assert run is not None
    assert run.tags["mlflows.status"] in ("Preparing", "Running")
    after = look(job.closed(SECONDS))
    assert (after.status, after.mlflow, after.prefect, after.message) == ("Completed", "FINISHED", "Completed", "")
    assert after.lines == list(range(30))
    assert after.left == []
    run = runs.find_run(theatre.local.tracking(), job.run_id)
    assert run is not None
    assert run.tags["mlflows.attempt"] == "1"
    assert run.tags["mlflows.error"] == ""
    first = Artifacts(theatre.local.tracking(), run.run_id, run.artifact_uri).read("user_logs/attempt_0/std_log.txt").decode()
    assert "line 9 " in first and "line 11 " not in first
    assert after.points == sorted([*range(11), *range(30)])
    # Prefect's handler sends log lines every two seconds
    until(lambda: doubled(look(job).prefect_lines) == list(range(11)), 15, "the lines of both attempts are in Prefect's log")


def test_a_completed_run_is_not_run_again(theatre: Theatre) -> None:
    job = theatre.local.submit("done", 1).closed(SECONDS)
    job.retry()
    until(lambda: job.flow_run()["run_count"] == 2, 30, "Prefect has run it again")
    until(lambda: job.flow_run()["state_name"] == "Completed", 30, "it is completed again")
    assert job.starts() == 1
    assert look(job).status == "Completed"


def test_a_cancel_when_the_job_has_just_ended(theatre: Theatre) -> None:
    jobs = [theatre.local.submit(f"late{number}", 1) for number in range(3)]
    for job in jobs:
        until((job.folder / "status.json").exists, 30, "the job has ended")
        job.cancel()
    for job in jobs:
        seen = look(job.closed(SECONDS))
        assert (seen.status, seen.prefect) in (("Completed", "Completed"), ("Completed", "Cancelled"), ("Canceled", "Cancelled"))
        assert seen.left == []


def test_ctrl_c_ends_a_flow_that_is_called_as_a_function(theatre: Theatre) -> None:
    stage = theatre.doubled
    job = stage.job("called")
    code = (
        "import asyncio, sys\nfrom mlflows.flows.script_run import script_run\nfrom mlflows.spec import JobSpec\n"
        f"job = JobSpec({str(stage.scratch / 'code')!r}, script='train.py', arguments=sys.argv[2:], experiment={EXPERIMENT!r})\n"
        "print(asyncio.run(script_run(job, sys.argv[1], return_state=True)))\n"
    )
    arguments = [job.run_id, str(steps_in(60)), str(job.witness), str(steps_in(NEVER))]
    process = stage.background([sys.executable, "-c", code, *arguments], "called.log")
    job.begun()
    os.kill(process.pid, signal.SIGINT)
    asked = time.time()
    process.wait(SECONDS)
    seen = look(job.closed(5))
    assert (seen.status, seen.mlflow, seen.prefect) == ("Canceled", "KILLED", "Cancelled")
    assert seen.left == []
    assert job.witness.stat().st_mtime - asked < 3


def test_a_flow_that_crashes_again_and_again_is_given_up(theatre: Theatre) -> None:
    stage = theatre.local
    job = stage.submit("crashing", 60).begun()
    kill_group(stage.record["runner"]["pid"])
    flow_run = job.flow_run()
    for _ in range(5):
        stage.prefect().post(f"/flow_runs/{flow_run['id']}/set_state", {"state": {"type": "RUNNING", "name": "Running"}, "force": True})
    code = (
        "import asyncio, sys\nfrom uuid import UUID\nfrom prefect import get_client\nfrom prefect.states import Crashed\n"
        "from mlflows.flows import hooks\n"
        "async def call():\n"
        "    async with get_client() as client:\n"
        "        await hooks.crashed(None, await client.read_flow_run(UUID(sys.argv[1])), Crashed(message='killed'))\n"
        "asyncio.run(call())\n"
    )
    stage.run([sys.executable, "-c", code, flow_run["id"]], **stage.addresses())
    stage.prefect().post(f"/flow_runs/{flow_run['id']}/set_state", {"state": {"type": "CRASHED", "name": "Crashed"}, "force": True})
    seen = look(job.closed(5))
    stage.up()
    assert (seen.status, seen.mlflow) == ("Failed", "FAILED")
    assert "crashed 6 times, the last time: killed" in seen.message
    assert set(job.steps()) <= set(seen.lines)
    assert seen.left == []
