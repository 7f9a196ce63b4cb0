"""Secrets among a run's variables: the script has them, and nothing that stays does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from conftest import Services
from mlflows import blocks, settings
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.environments.environment import Environment
from mlflows.experiment import Experiment
from mlflows.rest import RestClient
from mlflows.workspace import Workspace

CANARY = "canary-3d8e"
REFERRED, LITERAL = f"{CANARY}/referred", f'{CANARY}"literal'
TRAIN = """
import hashlib, os, pathlib
for name in ("REFERRED", "API_TOKEN"):
    print(name, hashlib.sha256(os.environ[name].encode()).hexdigest())
commands = [path for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
shown = 0
for path in commands:
    try:
        shown += b"canary" + b"-3d8e" in path.read_bytes()
    except OSError:
        pass
print("command lines", shown)
folder = pathlib.Path(os.environ["MLFLOWS_JOB_FOLDER"])
print("files", [str(path) for path in folder.rglob("*") if path.is_file() and b"canary" + b"-3d8e" in path.read_bytes()])
"""


@pytest.fixture
def prefect(services: Services) -> RestClient:
    return RestClient(settings.services_record()["prefect"]["url"] + "/api")


@pytest.fixture
def block(prefect: RestClient) -> str:
    blocks.store_secret(prefect, "of-a-variable", REFERRED)
    return "of-a-variable"


def test_variables_of_a_run(services: Services, prefect: RestClient, block: str, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(TRAIN)
    environment = Environment("with secret variables")
    environment.python.user_managed_dependencies = True
    environment.environment_variables = {"REFERRED": f"{{{{ prefect.blocks.secret.{block} }}}}", "API_TOKEN": LITERAL}
    experiment = Experiment(Workspace.from_config(), "secrets")
    run = experiment.submit(ScriptRunConfig(tmp_path / "code", "train.py", environment=environment))
    run.wait_for_completion()
    assert run.get_status() == "Completed"
    folder = settings.job_folder(run.id)
    expected = "".join(
        f"{name} {hashlib.sha256(value.encode()).hexdigest()}\n" for name, value in (("REFERRED", REFERRED), ("API_TOKEN", LITERAL))
    )
    assert (folder / "user_logs" / "std_log.txt").read_text() == expected + "command lines 0\nfiles []\n"
    flow_run = prefect.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [run.id]}}})[0]
    given = flow_run["parameters"]["job"]["environment_variables"]
    assert set(given) == {"REFERRED", "API_TOKEN"} and all("prefect.blocks.secret." in value for value in given.values())
    mine = {"flow_run_id": {"any_": [flow_run["id"]]}}
    shown = [
        flow_run,
        prefect.post("/logs/filter", {"logs": mine}),
        prefect.post("/artifacts/filter", {"artifacts": mine}),
        prefect.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}),
        prefect.post("/block_documents/filter", {"limit": 200}),
        run.get_details(),
        run.get_tags(),
        run.get_metrics(),
        str(run.get_environment()),
        services.mlflows("logs", run.id),
        services.mlflows("show", run.id, "--json"),
    ]
    assert [part for part in shown if CANARY in json.dumps(part, default=str)] == []
    # the job folder, MLflow's and Prefect's databases and artifacts, the logs of the services
    assert [str(path) for path in services.home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()] == []
