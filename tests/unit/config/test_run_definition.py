"""The run definition in SDK v1's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlflows.config.distributed import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from mlflows.config.freeze import freeze, run_definition
from mlflows.config.run_definition import masked_arguments
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.environments.environment import Environment
from mlflows.spec import JobSpec, looks_secret, refers_to_secret


def definition_of(tmp_path: Path, **arguments: object) -> dict[str, object]:
    (tmp_path / "train.py").write_text("")
    return run_definition(freeze(ScriptRunConfig(tmp_path, "train.py", **arguments), workspace="w", experiment="e"))  # type: ignore[arg-type]


def test_sections_and_keys(tmp_path: Path) -> None:
    definition = definition_of(tmp_path, arguments=["--x", 1], environment=Environment("mine"), max_run_duration_seconds=60)
    expected = (
        "script command arguments sourceDirectoryDataStore framework communicator target dataReferences data outputData jobName "
        "maxRunDurationSeconds nodeCount instanceTypes priority credentialPassthrough environment history mpi pyTorch tensorflow docker"
    )
    assert set(expected.split()) <= set(definition)
    assert (definition["script"], definition["arguments"], definition["command"]) == ("train.py", ["--x", "1"], "")
    assert (definition["framework"], definition["communicator"], definition["target"]) == ("Python", "None", "local")
    assert definition["maxRunDurationSeconds"] == 60
    assert definition["environment"]["name"] == "mine"
    assert definition["environment"]["environmentVariables"] == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    assert {"name", "version", "python", "environmentVariables", "docker", "spark"} <= set(definition["environment"])
    assert definition["history"] == {"outputCollection": True, "snapshotProject": True, "directoriesToWatch": ["logs"]}
    assert definition["docker"]["shmSize"] == "2g"
    json.dumps(definition)


def test_distributions(tmp_path: Path) -> None:
    torch = definition_of(tmp_path, distributed_job_config=PyTorchConfiguration("Gloo", 8, 2))
    assert (torch["framework"], torch["communicator"], torch["nodeCount"]) == ("PyTorch", "Gloo", 2)
    assert torch["pyTorch"] == {"communicationBackend": "gloo", "processCount": 8}
    assert definition_of(tmp_path, distributed_job_config=PyTorchConfiguration(node_count=2))["pyTorch"]["processCount"] is None
    mpi = definition_of(tmp_path, distributed_job_config=MpiConfiguration(4))
    assert (mpi["framework"], mpi["communicator"], mpi["mpi"]) == ("Python", "IntelMpi", {"processCountPerNode": 4})
    tensorflow = definition_of(tmp_path, distributed_job_config=TensorflowConfiguration(3, 2))
    assert (tensorflow["framework"], tensorflow["tensorflow"]) == ("TensorFlow", {"workerCount": 3, "parameterServerCount": 2})


def test_secret_looking_values_are_masked() -> None:
    reference = "{{ prefect.blocks.secret.x }}"
    spec = JobSpec("/x", environment_variables={"A_TOKEN": "hunter2", "B_KEY": reference, "C": "3", "D_SECRET": ""})
    variables = run_definition(spec)["environment"]["environmentVariables"]
    assert variables == {"A_TOKEN": "********", "B_KEY": reference, "C": "3", "D_SECRET": ""}


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--api-key", "hunter2", "x"], ["--api-key", "********", "x"]),
        (["--password=hunter2"], ["--password=********"]),
        (["--db_password", "--verbose"], ["--db_password", "--verbose"]),
        (["--secret", "{{ prefect.blocks.secret.x }}"], ["--secret", "{{ prefect.blocks.secret.x }}"]),
        (["--pad-token", "<pad>", "--sort-key", "a", "password", "b"], ["--pad-token", "<pad>", "--sort-key", "a", "password", "b"]),
    ],
)
def test_secret_looking_options_are_masked(arguments: list[str], expected: list[str]) -> None:
    assert masked_arguments(arguments) == expected


def test_what_looks_secret() -> None:
    assert all(map(looks_secret, ["PASSWORD", "db_password", "ClientSecret", "HF_TOKEN", "STORAGE_ACCOUNT_KEY", "X_CONNECTION_STRING"]))
    assert not any(map(looks_secret, ["MONKEYS", "TOKENIZER", "KEYS", "PATH", ""]))
    assert refers_to_secret("{{prefect.blocks.secret.my-name}}")
    assert not any(map(refers_to_secret, ["{{ prefect.variables.x }}", "user:{{ prefect.blocks.secret.x }}@host", ""]))
