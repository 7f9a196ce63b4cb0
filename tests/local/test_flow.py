"""The flow on real servers: from submit, from a deployment, from Python, from a driver process; and its end by cancel and failure."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conftest import Services
from mlflows import settings
from mlflows.compute.processes import job_processes
from mlflows.rest import RestClient, Unreachable


@pytest.fixture
def prefect(services: Services) -> RestClient:
    return RestClient(settings.services_record()["prefect"]["url"] + "/api")


def write(folder: Path, train: str, **options: Any) -> Path:
    """A submit.py and its train.py; the options are ScriptRunConfig's."""
    (folder / "code").mkdir(parents=True, exist_ok=True)
    (folder / "code" / "train.py").write_text(train)
    submit = folder / "submit.py"
    submit.write_text(
        "import sys\n"
        "from azureml.core import Workspace, Experiment, ScriptRunConfig\n"
        f"config = ScriptRunConfig({str(folder / 'code')!r}, 'train.py', **{options!r})\n"
        "run = Experiment(Workspace.from_config(), 'flow tests').submit(config)\n"
        "print('RUN', run.id)\n"
        "if 'wait' in sys.argv:\n"
        "    run.wait_for_completion(show_output=True)\n"
    )
    return submit


def run_id(output: str) -> str:
    return next(line.split()[1] for line in output.splitlines() if line.startswith("RUN "))


def flow_run(prefect: RestClient, name: str) -> Any:
    return prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [name]}}})[0]


def completed(found: Any) -> Any:
    return found if found["state_name"] == "Completed" else None


def posted(prefect: RestClient, path: str, body: Any) -> Any:
    """None where Prefect's database is busy (503)."""
    with contextlib.suppress(Unreachable):
        return prefect.post(path, body)


def until(condition: Any, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("condition not met in time")


def test_completed_run_in_prefect(services: Services, prefect: RestClient, tmp_path: Path) -> None:
    output = services.mlflows("run", str(write(tmp_path, "print('hello from the script')")), "wait")
    # where the machine is slow MLflow's word ends the wait, a moment before Prefect has its own
    found = until(lambda: completed(flow_run(prefect, run_id(output))))
    names = {"resolve_datasets", "build_environment", "launch_training"}
    mine = {"flow_runs": {"id": {"any_": [found["id"]]}}}
    until(lambda: {task["name"] for task in prefect.post("/task_runs/filter", mine) if task["state_name"] == "Completed"} == names)
    artifacts = prefect.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [found["id"]]}}})
    assert {artifact["key"] for artifact in artifacts} == {"mlflow-run", "script-run"}
    logs = until(
        lambda: [
            line
            for line in prefect.post("/logs/filter", {"logs": {"flow_run_id": {"any_": [found["id"]]}}})
            if "hello from the script" in line["message"]
        ]
    )
    assert len(logs) == 1


def test_failed_run_tells_why(services: Services, prefect: RestClient, tmp_path: Path) -> None:
    done = services.python("-m", "mlflows", "run", str(write(tmp_path, "raise ValueError('no such column')")), "wait")
    assert done.returncode == 1
    assert "User program failed with ValueError: no such column" in done.stdout
    found = flow_run(prefect, run_id(done.stdout))
    assert found["state_name"] == "Failed"
    assert "ValueError: no such column" in found["state"]["message"]


def test_cancelled_in_prefect(services: Services, prefect: RestClient, tmp_path: Path) -> None:
    submitted = run_id(services.mlflows("run", str(write(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(300)"))))
    folder = settings.job_folder(submitted)
    until(lambda: (folder / "user_logs" / "std_log.txt").exists() and "up" in (folder / "user_logs" / "std_log.txt").read_text())
    found = flow_run(prefect, submitted)
    prefect.post(f"/flow_runs/{found['id']}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    until(lambda: flow_run(prefect, submitted)["state_name"] == "Cancelled", 10)
    assert job_processes(folder) == {}
    assert json.loads(services.mlflows("show", submitted, "--json"))["status"] == "Canceled"


def test_deployment_run(services: Services, prefect: RestClient, tmp_path: Path) -> None:
    write(tmp_path, "import sys; print('arguments', sys.argv[1:])")
    deployment = prefect.get("/deployments/name/script-run/local")
    job = {"source_directory": str(tmp_path / "code"), "script": "train.py", "arguments": ["--x", "1"], "experiment": "from the UI"}
    made = until(lambda: posted(prefect, f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"job": job}}))
    until(lambda: prefect.get(f"/flow_runs/{made['id']}")["state_name"] == "Completed")
    listed = json.loads(services.mlflows("runs", "-e", "from the UI", "--json"))
    assert [run["status"] for run in listed] == ["Completed"]
    assert "arguments ['--x', '1']" in services.mlflows("logs", listed[0]["run_id"])


def test_driver_where_servers_are_configured(
    services: Services, prefect: RestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = settings.services_record()
    monkeypatch.setenv("PREFECT_API_URL", record["prefect"]["url"] + "/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", record["mlflow"]["url"])
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))  # no runner there
    output = services.mlflows("run", str(write(tmp_path, "print('driven')")), "wait")
    assert "driven" in output
    assert not (tmp_path / "home" / "services" / "services.json").exists()
    assert flow_run(prefect, run_id(output))["state_name"] == "Completed"


def test_called_as_a_function(services: Services, tmp_path: Path) -> None:
    write(tmp_path, "print('called')")
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\nfrom mlflows.flows.script_run import script_run\nfrom mlflows.spec import JobSpec\n"
        f"print(asyncio.run(script_run(JobSpec({str(tmp_path / 'code')!r}, script='train.py', experiment='called'))))\n"
    )
    record = settings.services_record()
    environment = {**os.environ, "PREFECT_API_URL": record["prefect"]["url"] + "/api"}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=60)
    assert "ScriptRunResult(run_id='called_" in done.stdout, done.stdout + done.stderr


def test_wrong_parameters_fail_the_flow_run_with_a_reason(services: Services, prefect: RestClient) -> None:
    from mlflows.rest import RestError

    deployment = prefect.get("/deployments/name/script-run/local")
    with pytest.raises(RestError, match="source_directory"):
        prefect.post(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"job": {"script": "a.py"}}})


def test_a_submitter_that_leaves_before_go_leaves_nothing(services: Services, prefect: RestClient, tmp_path: Path) -> None:
    from mlflows.flows.handoff import Handoff
    from mlflows.history.tracking import Tracking
    from mlflows.spec import JobSpec

    servers = settings.Servers(
        settings.services_record()["prefect"]["url"] + "/api", settings.services_record()["mlflow"]["url"], "", "", True
    )
    with Handoff(JobSpec(str(tmp_path), script="train.py"), "leaver_1_00000000", servers) as handoff:
        made = handoff.history()
    assert made is not None
    tracking = Tracking(servers.mlflow_tracking_uri)
    until(lambda: tracking.get_run(made.mlflow_run_id).status == "KILLED")
    until(lambda: prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": ["leaver_1_00000000"]}}}) == [])


def test_cancelled_at_once_by_the_sdk(services: Services, prefect: RestClient, tmp_path: Path) -> None:
    submit = write(tmp_path, "import time\ntime.sleep(300)")
    submit.write_text(submit.read_text() + "run.cancel()\nrun.wait_for_completion()\nprint(run.get_status())\n")
    output = services.mlflows("run", str(submit))
    assert output.split()[-1] == "Canceled"
    until(lambda: flow_run(prefect, run_id(output))["state_name"] == "Cancelled", 10)
    assert job_processes(settings.job_folder(run_id(output))) == {}
