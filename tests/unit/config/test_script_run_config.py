"""ScriptRunConfig: what its construction makes of its arguments."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from mlflows.config.distributed import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.config.sections import DockerConfiguration
from mlflows.environments.environment import Environment
from mlflows.exceptions import RunConfigurationException, UserErrorException


class NamedTarget:
    name = "gpu-cluster"


class ModelPath:
    """What SDK v1 calls a DataPath."""

    datastore_name = "store"
    path_on_datastore = "models/1"


def test_defaults() -> None:
    config = ScriptRunConfig(".")
    assert (config.source_directory, config.script, config.command, config.arguments) == (".", None, "", [])
    assert config.run_config.target == "local"
    assert config.run_config.environment.name == "default-environment"
    assert config.run_config.max_run_duration_seconds == ScriptRunConfig.MAX_DURATION_SECONDS_DEFAULT == 2592000


def test_missing_source_directory_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="source_directory"):
        ScriptRunConfig()  # type: ignore[call-arg]


def test_nothing_is_looked_up_at_construction() -> None:
    assert ScriptRunConfig(Path("/no/such/folder"), "none.py").script == "none.py"


@pytest.mark.parametrize("target", ["gpu-cluster", NamedTarget()])
def test_target_is_kept_by_name(target: object) -> None:
    assert ScriptRunConfig(".", "a.py", compute_target=target).run_config.target == "gpu-cluster"


def test_environment_and_docker() -> None:
    environment, docker = Environment("e"), DockerConfiguration(True, shm_size="8g")
    config = ScriptRunConfig(".", "a.py", environment=environment, docker_runtime_config=docker)
    assert config.run_config.environment is environment
    assert config.run_config.docker is docker


def test_docker_settings_of_the_environment_are_taken_over() -> None:
    environment = Environment("e")
    environment.docker.enabled = True
    environment.docker.shm_size = "4g"
    environment.docker.arguments = ["--ipc=host"]
    docker = ScriptRunConfig(".", "a.py", environment=environment).run_config.docker
    assert docker == DockerConfiguration(True, True, ["--ipc=host"], "4g")


@pytest.mark.parametrize(
    "distributed, expected",
    [
        (MpiConfiguration(4, 2), ("Python", "IntelMpi", 2)),
        (PyTorchConfiguration("Nccl", 8, 2), ("PyTorch", "nccl", 2)),
        (PyTorchConfiguration("GLOO", node_count=3), ("PyTorch", "gloo", 3)),
        (TensorflowConfiguration(3, 1), ("TensorFlow", "ParameterServer", 3)),
    ],
)
def test_distributed_job_config(distributed: object, expected: tuple[str, str, int]) -> None:
    run_config = ScriptRunConfig(".", "a.py", distributed_job_config=distributed).run_config
    assert (run_config.framework, run_config.communicator, run_config.node_count) == expected
    assert distributed in (run_config.mpi, run_config.pytorch, run_config.tensorflow)


def test_run_config_holds_and_the_rest_is_left_aside(caplog: pytest.LogCaptureFixture) -> None:
    run_config = RunConfiguration()
    run_config.target = "other"
    config = ScriptRunConfig(
        ".",
        "a.py",
        run_config=run_config,
        compute_target="local",
        environment=Environment("e"),
        distributed_job_config=MpiConfiguration(),
        max_run_duration_seconds=60,
        docker_runtime_config=DockerConfiguration(),
    )
    assert config.run_config is run_config
    assert (run_config.target, run_config.communicator, run_config.max_run_duration_seconds) == ("other", "None", None)
    expected = "compute_target, environment, distributed_job_config, docker_runtime_config, max_run_duration_seconds left aside"
    assert expected in caplog.text


def test_run_config_alone_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    ScriptRunConfig(".", "a.py", run_config=RunConfiguration())
    assert caplog.text == ""


def test_program_of_run_config(caplog: pytest.LogCaptureFixture) -> None:
    run_config = RunConfiguration(script="a.py", arguments=["--x", 1])
    assert ScriptRunConfig(".", run_config=run_config).arguments == ["--x", 1]
    assert caplog.text == ""
    config = ScriptRunConfig(".", "b.py", ["--y"], run_config=run_config)
    assert (config.script, config.arguments) == ("b.py", ["--y"])
    assert "script of run_config is left aside" in caplog.text
    assert "arguments of run_config is left aside" in caplog.text


def test_command_against_a_script_in_run_config() -> None:
    config = ScriptRunConfig(".", command="echo 1", run_config=RunConfiguration(script="a.py"))
    assert (config.script, config.command) == (None, "echo 1")


def test_arguments_as_a_string() -> None:
    assert ScriptRunConfig(".", "a.py", "--name 'a b' --n 3").arguments == ["--name", "a b", "--n", "3"]


def test_command_list_is_copied() -> None:
    command = ["python", "a.py"]
    config = ScriptRunConfig(".", command=command)
    command.append("--x")
    assert config.command == ["python", "a.py"]


def test_resume_from() -> None:
    config = ScriptRunConfig(".", "a.py", ["--x"], resume_from=ModelPath())
    assert config.arguments == ["--x", "--resume-from", "$AZUREML_DATAREFERENCE_MODEL_LOCATION"]
    reference = config.run_config.data_references["MODEL_LOCATION"]
    assert (reference.datastore_name, reference.path_on_datastore, reference.mode) == ("store", "models/1", "mount")


def test_attributes_may_be_set_afterwards() -> None:
    config = ScriptRunConfig(".", "a.py")
    config.run_config.target = NamedTarget()
    config.run_config.node_count = 2
    config.run_config.environment_variables = {"A": "1"}
    config.run_config.auto_prepare_environment = False
    config.run_config.amlk8scompute.resource_configuration.gpu_count = 2
    assert config.run_config.environment.environment_variables == {"A": "1"}
    assert "gpu-cluster" in repr(config)


@pytest.mark.parametrize(
    "arguments, error, expected",
    [
        ({"script": "a.py", "command": "echo"}, UserErrorException, r"script and command: both are given \('a.py', 'echo'\). Give one"),
        ({"arguments": {"a": 1}}, UserErrorException, r"arguments: expected a list or a string, got dict: \{'a': 1\}"),
        ({"arguments": "--x 'open"}, UserErrorException, "arguments: .*open.* cannot be split: No closing quotation. Give a list"),
        ({"run_config": "local"}, UserErrorException, "run_config: expected a RunConfiguration, got str: 'local'"),
        ({"resume_from": "models"}, UserErrorException, "resume_from: expected a DataPath, got str: 'models'"),
        ({"compute_target": 3}, UserErrorException, "target: expected the name of a compute target or a ComputeTarget, got 3"),
        (
            {"distributed_job_config": "mpi"},
            RunConfigurationException,
            "distributed_job_config: expected an MpiConfiguration.*got str: 'mpi'",
        ),
        (
            {"docker_runtime_config": True},
            RunConfigurationException,
            "docker_runtime_config: expected a DockerConfiguration, got bool: True",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input(arguments: dict[str, object], error: type[Exception], expected: str) -> None:
    with pytest.raises(error, match=expected):
        ScriptRunConfig(".", **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["mpi", "", None, 3])
def test_unknown_backend(backend: object) -> None:
    with pytest.raises(RunConfigurationException, match=f"communication_backend: {backend!r} is not known. Use 'nccl' or 'gloo'"):
        PyTorchConfiguration(backend)  # type: ignore[arg-type]


def test_importing_it_needs_the_standard_library_only() -> None:
    import subprocess

    code = (
        "import sys, mlflows; from mlflows import ScriptRunConfig, Environment; import mlflows.config.freeze; "
        "print([m for m in ('yaml', 'pydantic', 'prefect', 'mlflow', 'pathspec', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_warnings_go_to_the_log_not_to_stdout(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.WARNING):
        ScriptRunConfig(".", "a.py", run_config=RunConfiguration(), compute_target="x")
    assert capsys.readouterr().out == ""
    assert len(caplog.records) == 1
