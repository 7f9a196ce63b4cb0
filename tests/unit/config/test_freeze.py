"""freeze: what a run is made of, and every mistake that is found before it starts."""

from __future__ import annotations

import copy
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflows import settings
from mlflows.config.distributed import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from mlflows.config.freeze import freeze, secrets_of
from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.run_definition import run_definition
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.config.sections import ApplicationEndpointConfiguration, Data, DockerConfiguration
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.credentials import put_back, referred
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.exceptions import ComputeTargetException, ExperimentExecutionException, RunConfigurationException, UserErrorException
from mlflows.spec import Distribution, DockerSpec, EnvironmentSpec, JobArgument, JobSpec, refers_to_secret


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code" / "sub").mkdir(parents=True)
    (tmp_path / "code" / "train.py").write_text("print(1)\n")
    (tmp_path / "code" / "sub" / "other.py").write_text("print(2)\n")
    (tmp_path / "outside.py").write_text("print(3)\n")
    return tmp_path / "code"


Freeze = Callable[..., JobSpec]


@pytest.fixture
def frozen(folder: Path) -> Freeze:
    """freeze(ScriptRunConfig(**arguments)), with the folder and train.py where nothing else is given; ``change`` edits the config."""

    def make(
        change: Callable[[ScriptRunConfig], Any] | None = None, freeze_with: dict[str, Any] | None = None, **arguments: Any
    ) -> JobSpec:
        arguments.setdefault("source_directory", folder)
        if not {"script", "command", "run_config"} & set(arguments):
            arguments["script"] = "train.py"
        config = ScriptRunConfig(**arguments)
        if change:
            change(config)
        return freeze(config, **{"workspace": "w", "experiment": "e", **(freeze_with or {})})

    return make


def on_run_config(**values: Any) -> Callable[[ScriptRunConfig], None]:
    def change(config: ScriptRunConfig) -> None:
        for name, value in values.items():
            target: Any = config.run_config
            *path, last = name.split("__")
            for part in path:
                target = getattr(target, part)
            setattr(target, last, value)

    return change


class TestResult:
    def test_plain_run(self, frozen: Freeze, folder: Path) -> None:
        spec = frozen(arguments=["--n", 1])
        assert spec == JobSpec(
            source_directory=str(folder),
            script="train.py",
            arguments=["--n", "1"],
            experiment="e",
            workspace="w",
            environment=EnvironmentSpec(interpreter=sys.executable),
            environment_variables={"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
        )

    def test_is_json(self, frozen: Freeze) -> None:
        environment = Environment("mine")
        environment.environment_variables = {"A": 1, "B": True, "C": 0.5}  # type: ignore[dict-item]
        spec = frozen(
            arguments=[1, 0.5, True, Path("x"), "a b"],
            environment=environment,
            distributed_job_config=PyTorchConfiguration(process_count=4, node_count=2),
            freeze_with={"tags": {"a": 1, 2: None, "c": "d"}},
        )
        assert JobSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        assert spec.arguments == ["1", "0.5", "True", "x", "a b"]
        assert spec.environment_variables == {"A": "1", "B": "True", "C": "0.5"}
        assert spec.tags == {"a": "1", "2": "", "c": "d"}

    def test_config_is_not_changed_and_can_be_frozen_again(self, folder: Path) -> None:
        config = ScriptRunConfig(folder, command=["echo", 1], arguments=["a b"])
        before = copy.deepcopy((config.command, config.arguments, config.run_config))
        first = freeze(config, workspace="w", experiment="e")
        assert (config.command, config.arguments, config.run_config) == before
        config.arguments.append("c")
        assert freeze(config, workspace="w", experiment="e") == first.replace(command="echo 1 'a b' c")

    def test_relative_source_directory(self, frozen: Freeze, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        assert frozen(source_directory=".").source_directory == str(folder)

    @pytest.mark.parametrize("script", ["sub/other.py", "./sub/../sub/other.py", Path("sub/other.py")])
    def test_script_in_a_sub_folder(self, frozen: Freeze, script: Any) -> None:
        assert frozen(script=script).script == "sub/other.py"

    def test_absolute_script_inside(self, frozen: Freeze, folder: Path) -> None:
        assert frozen(script=str(folder / "sub" / "other.py")).script == "sub/other.py"

    def test_history_and_duration(self, frozen: Freeze) -> None:
        change = on_run_config(
            history__snapshot_project=False, history__output_collection=False, history__directories_to_watch=["logs", "tb"]
        )
        spec = frozen(change, max_run_duration_seconds=60)
        assert (spec.snapshot_project, spec.output_collection, spec.directories_to_watch) == (False, False, ["logs", "tb"])
        assert spec.max_run_duration_seconds == 60

    def test_duration_of_a_run_config_is_30_days(self, frozen: Freeze) -> None:
        assert frozen(script="train.py", run_config=RunConfiguration()).max_run_duration_seconds == 2592000

    def test_resources(self, frozen: Freeze) -> None:
        change = on_run_config(
            kubernetescompute__instance_type="gpu",
            amlcompute__vm_size="STANDARD_NC6",
            priority=3,
            amlk8scompute__resource_configuration__gpu_count=2,
        )
        assert frozen(change).resources == {"instance_type": "gpu", "vm_size": "STANDARD_NC6", "priority": 3, "gpu_count": 2}

    def test_settings_without_effect_are_logged(self, frozen: Freeze, caplog: pytest.LogCaptureFixture) -> None:
        frozen(on_run_config(services={"j": ApplicationEndpointConfiguration("jupyter")}, credential_passthrough=True))
        assert "run_config.services has no effect" in caplog.text
        assert "run_config.credential_passthrough has no effect" in caplog.text

    def test_a_cache_of_data_has_no_effect(self, frozen: Freeze, caplog: pytest.LogCaptureFixture) -> None:
        frozen(on_run_config(datacaches=["near"]))
        assert "run_config.datacaches has no effect" in caplog.text


class TestCommand:
    def test_list_is_joined_unquoted(self, frozen: Freeze) -> None:
        spec = frozen(command=["export", "PYTHONPATH=$PWD", "&&", "python train.py", 3])
        assert (spec.command, spec.script, spec.arguments) == ("export PYTHONPATH=$PWD && python train.py 3", None, [])

    def test_string_is_kept(self, frozen: Freeze) -> None:
        assert frozen(command="for i in 1 2; do echo  $i; done").command == "for i in 1 2; do echo  $i; done"

    def test_arguments_are_appended_quoted(self, frozen: Freeze) -> None:
        spec = frozen(command="python train.py", arguments=["--name", "it's $HOME", "", "*"])
        assert spec.command == "python train.py --name 'it'\"'\"'s $HOME' '' '*'"

    def test_variables_of_a_run_stay_variables_in_appended_arguments(self, frozen: Freeze) -> None:
        spec = frozen(command="run", arguments=["--d=$AZUREML_DATAREFERENCE_x/a b", "${LOCAL_RANK}", "$RANKED"])
        assert spec.command == "run --d=\"$AZUREML_DATAREFERENCE_x\"'/a b' \"${LOCAL_RANK}\" '$RANKED'"

    def test_object_that_stands_for_data(self, frozen: Freeze) -> None:
        class Input:
            def _as_job_argument(self) -> JobArgument:
                return JobArgument("$AZUREML_DATAREFERENCE_d", {"d": {"mode": "mount"}}, {"o": {}})

        spec = frozen(arguments=["--data", Input()])
        assert (spec.arguments, spec.inputs, spec.outputs) == (
            ["--data", "$AZUREML_DATAREFERENCE_d"],
            {"d": {"mode": "mount"}},
            {"o": {}},
        )
        assert frozen(command=["a", Input()]).command == 'a "$AZUREML_DATAREFERENCE_d"'


class TestDistribution:
    @pytest.mark.parametrize(
        "distributed, expected",
        [
            (MpiConfiguration(4, 2), Distribution("mpi", 2, 4, backend="IntelMpi")),
            (MpiConfiguration(), Distribution("mpi", 1, 1, backend="IntelMpi")),
            (PyTorchConfiguration("Gloo", 8, 2), Distribution("pytorch", 2, 4, backend="gloo")),
            (PyTorchConfiguration(node_count=2), Distribution("pytorch", 2, 1, node_level=True, backend="nccl")),
            (
                TensorflowConfiguration(3, 2),
                Distribution("tensorflow", 3, 1, backend="ParameterServer", worker_count=3, parameter_server_count=2),
            ),
            (None, Distribution()),
        ],
    )
    def test_given_as_distributed_job_config(self, frozen: Freeze, distributed: Any, expected: Distribution) -> None:
        assert frozen(distributed_job_config=distributed).distribution == expected

    @pytest.mark.parametrize(
        "values, expected",
        [
            (
                {"framework": "Python", "communicator": "OpenMpi", "mpi": MpiConfiguration(2), "node_count": 3},
                Distribution("mpi", 3, 2, backend="OpenMpi"),
            ),
            (
                {"framework": "PyTorch", "communicator": "Nccl", "pytorch__process_count": 4, "node_count": 2},
                Distribution("pytorch", 2, 2, backend="nccl"),
            ),
            (
                {"framework": "TensorFlow", "communicator": "ParameterServer", "tensorflow__worker_count": 2, "node_count": 2},
                Distribution("tensorflow", 2, 1, backend="ParameterServer", worker_count=2, parameter_server_count=1),
            ),
            ({"framework": "PyTorch"}, Distribution()),
        ],
    )
    def test_written_into_the_run_config(self, frozen: Freeze, values: dict[str, Any], expected: Distribution) -> None:
        assert frozen(on_run_config(**values)).distribution == expected

    def test_counts_that_do_not_hold_are_logged(self, frozen: Freeze, caplog: pytest.LogCaptureFixture) -> None:
        frozen(on_run_config(communicator="IntelMpi", mpi=MpiConfiguration(1, node_count=3)))
        frozen(on_run_config(mpi=MpiConfiguration(4)))
        assert "run_config.mpi.node_count=3 is left aside: run_config.node_count=1 holds" in caplog.text
        assert "process_count_per_node=4 has no effect: run_config.communicator is 'None'" in caplog.text


class TestEnvironment:
    def test_named_default_environment(self, frozen: Freeze) -> None:
        environment = frozen(environment=Environment("x")).environment
        assert (environment.name, environment.interpreter) == ("x", sys.executable)
        assert environment.definition["python"]["condaDependencies"]["dependencies"][0] == "python=3.8.13"

    def test_user_managed(self, frozen: Freeze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "venv").mkdir()
        python = tmp_path / "venv" / "python"
        python.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n")
        python.chmod(0o755)
        monkeypatch.chdir(tmp_path)
        environment = Environment("x")
        environment.python.user_managed_dependencies = True
        environment.python.interpreter_path = "venv/python"
        spec = frozen(environment=environment).environment
        assert spec.interpreter == spec.definition["python"]["interpreterPath"] == str(python)

    def test_variables_are_not_in_the_definition(self, frozen: Freeze) -> None:
        environment = Environment("x")
        environment.environment_variables = {"PLAIN": "value-of-plain"}
        assert "value-of-plain" not in json.dumps(frozen(environment=environment).environment.definition)

    def test_passwords_and_tokens_are_references(self, frozen: Freeze, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        environment = Environment("x")
        environment.python.user_managed_dependencies = True
        environment.docker.base_image_registry.password = "hunter2"
        environment.python.conda_dependencies.add_channel("https://me:hunter3@conda.example/main")
        environment.python.conda_dependencies.set_pip_option("--extra-index-url https://me:hunter4@pip.example/simple")
        environment.python.conda_dependencies.add_pip_package("https://files.example/a-1-py3-none-any.whl?sig=hunter5")
        spec = frozen(environment=environment)
        assert "hunter" not in json.dumps(spec.to_dict()) + json.dumps(run_definition(spec)) + repr(spec) + caplog.text
        values = secrets_of(ScriptRunConfig(folder, script="train.py", environment=environment))
        assert sorted(values.values()) == ["hunter2", "hunter3", "hunter4", "hunter5"]
        assert sorted(referred(spec.environment.definition)) == sorted(values)
        assert put_back(spec.environment.definition, values.__getitem__)["docker"]["baseImageRegistry"]["password"] == "hunter2"
        assert environment.docker.base_image_registry.password == "hunter2"

    def test_by_name_only(self, frozen: Freeze, folder: Path) -> None:
        reference = EnvironmentReference("mine", 3)  # type: ignore[arg-type]
        spec = frozen(environment=reference)
        assert spec.environment == EnvironmentSpec("mine", "3")
        assert spec.environment_variables == {}
        assert secrets_of(ScriptRunConfig(folder, script="train.py", environment=reference)) == {}

    def test_by_name_where_it_can_be_found(self, frozen: Freeze) -> None:
        found = Environment("mine")
        found.version = "3"
        found.environment_variables = {"A": "1"}
        asked: list[EnvironmentReference] = []
        spec = frozen(
            environment=EnvironmentReference("mine"), freeze_with={"find_environment": lambda reference: asked.append(reference) or found}
        )
        assert (spec.environment.name, spec.environment.version) == ("mine", "3")
        assert spec.environment.definition["python"]["condaDependencies"] and spec.environment.interpreter
        assert spec.environment_variables == {"A": "1"}
        assert [reference.name for reference in asked] == ["mine"]

    def test_other_targets_take_the_definition_as_it_is(self, frozen: Freeze) -> None:
        environment = Environment("x")
        environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["torch"])
        spec = frozen(
            environment=environment,
            compute_target="box",
            docker_runtime_config=DockerConfiguration(True, shm_size="8G", arguments=["--ipc=host"]),
            freeze_with={"compute_targets": ["local", "box"]},
        )
        assert (spec.environment.interpreter, spec.compute_target) == (None, "box")
        assert spec.docker == DockerSpec(True, "8G", True, ["--ipc=host"])

    def test_older_docker_fields_set_after_construction(self, frozen: Freeze) -> None:
        spec = frozen(
            on_run_config(environment__docker__enabled=True, environment__docker__shm_size="3g"),
            compute_target="box",
            freeze_with={"compute_targets": ["box"]},
        )
        assert spec.docker == DockerSpec(True, "3g")


class TestVariables:
    def test_literal_secret_is_logged_by_name_with_the_way_out(self, frozen: Freeze, caplog: pytest.LogCaptureFixture) -> None:
        names = ["DB_PASSWORD", "my_secret", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"]
        frozen(on_run_config(environment_variables={**dict.fromkeys(names, "hunter2"), "MONKEY_COUNT": "3"}))
        assert len(caplog.records) == len(names)
        for name in names:
            assert f"{name} looks like a secret" in caplog.text
        assert "{{ prefect.blocks.secret.environment-variable-" in caplog.text and "Store it yourself" in caplog.text
        assert "hunter2" not in caplog.text

    @pytest.mark.parametrize("of_run_config", [True, False])
    def test_literal_secrets_are_references(self, frozen: Freeze, folder: Path, of_run_config: bool) -> None:
        environment = Environment("x")
        environment.python.user_managed_dependencies = True
        config = ScriptRunConfig(folder, script="train.py", environment=environment)
        target: Any = config.run_config if of_run_config else environment
        target.environment_variables = {"DB_PASSWORD": "hunter2", "API_KEY": 48151623, "PLAIN": "1", "EMPTY_TOKEN": ""}
        spec, values = freeze(config, workspace="w", experiment="e"), secrets_of(config)
        given = spec.environment_variables
        assert (given.pop("PLAIN"), given.pop("EMPTY_TOKEN")) == ("1", "")
        assert {name: values[value.split(".")[-1].rstrip(" }")] for name, value in given.items()} == {
            "DB_PASSWORD": "hunter2",
            "API_KEY": "48151623",
        }
        assert all(refers_to_secret(value) for value in given.values())
        text = json.dumps(spec.to_dict()) + json.dumps(run_definition(spec)) + repr(spec)
        assert "hunter2" not in text and "48151623" not in text
        assert target.environment_variables["DB_PASSWORD"] == "hunter2"
        target.environment_variables["DB_PASSWORD"] = "hunter3"
        other = freeze(config, workspace="w", experiment="e").environment_variables
        assert other["API_KEY"] == given["API_KEY"]
        assert stat.S_IMODE((settings.home() / "own.key").stat().st_mode) == 0o600 and len(settings.own_key()) == 32
        assert other["DB_PASSWORD"] != given["DB_PASSWORD"], "a run that waits keeps its value"

    def test_reference_is_silent_and_kept(self, frozen: Freeze, caplog: pytest.LogCaptureFixture) -> None:
        value = "{{ prefect.blocks.secret.db-password }}"
        assert frozen(on_run_config(environment_variables={"DB_PASSWORD": value})).environment_variables == {"DB_PASSWORD": value}
        assert caplog.text == ""

    def test_names_that_every_run_has_are_logged(self, frozen: Freeze, caplog: pytest.LogCaptureFixture) -> None:
        frozen(on_run_config(environment_variables={"AZUREML_RUN_ID": "1"}))
        assert "AZUREML_RUN_ID is set for every run" in caplog.text

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_none(self, frozen: Freeze, nothing: Any) -> None:
        assert frozen(on_run_config(environment_variables=nothing)).environment_variables == {}


def torch(process_count: Any, node_count: Any) -> dict[str, Any]:
    return {"distributed_job_config": PyTorchConfiguration(process_count=process_count, node_count=node_count)}


def environment_with(**values: Any) -> dict[str, Any]:
    environment = Environment("mine")
    for name, value in values.items():
        section, _, attribute = name.partition("__")
        setattr(getattr(environment, section) if attribute else environment, attribute or section, value)
    return {"environment": environment}


class Dataset:
    pass


# What a person wrote, or an edit of the config; the exception; what its message says: field, value, remedy.
def packages(dependencies: list[Any]) -> dict[str, Any]:
    return environment_with(python__conda_dependencies=CondaDependencies(_underlying_structure={"dependencies": dependencies}))


def pip(*lines: str, python: str = "3.10") -> dict[str, Any]:
    return packages([f"python={python}", {"pip": [*lines]}])


BAD: list[tuple[dict[str, Any] | Callable[[ScriptRunConfig], None], type[Exception], list[str]]] = [
    (
        {"source_directory": "/no/such/folder"},
        UserErrorException,
        ["source_directory", "/no/such/folder", "does not exist", "Give the folder"],
    ),
    ({"source_directory": __file__}, UserErrorException, ["source_directory", __file__, "is not a folder", "Give the folder"]),
    ({"source_directory": ""}, UserErrorException, ["source_directory", "''", "Use '.'"]),
    ({"source_directory": None}, UserErrorException, ["source_directory", "None", "Use '.'"]),
    ({"script": "trian.py"}, ExperimentExecutionException, ["script", "'trian.py'", "does not exist", "Did you mean 'train.py'?"]),
    ({"script": "../outside.py"}, ExperimentExecutionException, ["script", "'../outside.py'", "not inside", "Move it there"]),
    ({"script": __file__}, ExperimentExecutionException, ["script", __file__, "not inside", "Move it there"]),
    ({"script": "sub"}, ExperimentExecutionException, ["script", "'sub'", "is a folder", "Give a file"]),
    ({"script": 3}, UserErrorException, ["script", "3", "expected the path"]),
    ({"script": None}, UserErrorException, ["script and command", "neither is given", "Give script='train.py'"]),
    ({"command": []}, UserErrorException, ["script and command", "neither is given"]),
    ({"command": {"a": 1}}, UserErrorException, ["command", "{'a': 1}", "expected a string or a list"]),
    ({"arguments": [None]}, UserErrorException, ["arguments[0]", "None", "Leave the element out"]),
    ({"arguments": ["--d", Dataset()]}, UserErrorException, ["arguments[1]", "Dataset", "as_named_input"]),
    ({"arguments": [Data()]}, UserErrorException, ["arguments[0]", "a Data cannot", "Put it into run_config.data['name']"]),
    ({"arguments": ["--d", {"a": 1}]}, UserErrorException, ["arguments[1]", "dict", "{'a': 1}", "Give a string"]),
    ({"arguments": [["a"]]}, UserErrorException, ["arguments[0]", "list", "['a']", "Give a string"]),
    ({"command": ["run", object]}, UserErrorException, ["command[1]", "type", "Give a string"]),
    ({"compute_target": "locl"}, ComputeTargetException, ["compute_target", "'locl'", "There are: local", "Did you mean 'local'?"]),
    ({"compute_target": "amlcompute"}, ExperimentExecutionException, ["amlcompute.vm_size", "Set it"]),
    (on_run_config(target=""), ExperimentExecutionException, ["target", "Set compute_target"]),
    (torch(4, 0), RunConfigurationException, ["node_count", "0", "at least 1"]),
    (torch(4, 2.0), RunConfigurationException, ["node_count", "2.0", "whole number"]),
    (torch(0, 1), RunConfigurationException, ["process_count", "0", "at least 1"]),
    (torch(5, 2), RunConfigurationException, ["process_count", "5 processes", "node_count=2", "for instance 6"]),
    ({"distributed_job_config": MpiConfiguration(0)}, RunConfigurationException, ["process_count_per_node", "0", "at least 1"]),
    ({"distributed_job_config": MpiConfiguration(1, True)}, RunConfigurationException, ["node_count", "True", "whole number"]),
    ({"distributed_job_config": TensorflowConfiguration(0)}, RunConfigurationException, ["node_count", "0", "at least 1"]),
    ({"distributed_job_config": TensorflowConfiguration(1, -1)}, RunConfigurationException, ["parameter_server_count", "-1", "at least 0"]),
    (on_run_config(node_count=2), RunConfigurationException, ["node_count", "2 nodes", "Give distributed_job_config"]),
    (
        on_run_config(node_count=2, communicator="ParameterServer"),
        RunConfigurationException,
        ["node_count", "worker_count=1", "Set run_config.tensorflow.worker_count to at least 2"],
    ),
    (on_run_config(framework="Pytorch"), RunConfigurationException, ["framework", "'Pytorch'", "Did you mean 'PyTorch'?"]),
    (on_run_config(framework="PySpark"), RunConfigurationException, ["framework", "'PySpark'", "Use 'Python'"]),
    (on_run_config(communicator="Ncl"), RunConfigurationException, ["communicator", "'Ncl'", "Did you mean 'Nccl'?"]),
    (on_run_config(communicator="IntelMpi", mpi=4), RunConfigurationException, ["run_config.mpi", "int: 4", "MpiConfiguration"]),
    (on_run_config(communicator="Nccl", pytorch=None), RunConfigurationException, ["run_config.pytorch", "None", "PyTorchConfiguration"]),
    ({"max_run_duration_seconds": 0}, UserErrorException, ["max_run_duration_seconds", "0", "Give for instance"]),
    ({"max_run_duration_seconds": 1.5}, UserErrorException, ["max_run_duration_seconds", "1.5", "Give for instance"]),
    ({"max_run_duration_seconds": True}, UserErrorException, ["max_run_duration_seconds", "True", "Give for instance"]),
    ({"max_run_duration_seconds": "60"}, UserErrorException, ["max_run_duration_seconds", "'60'", "Give for instance"]),
    (on_run_config(environment_variables={"A B": "1"}), UserErrorException, ["environment_variables", "'A B'", "Use letters"]),
    (on_run_config(environment_variables={"1A": "1"}), UserErrorException, ["environment_variables", "'1A'", "no digit first"]),
    (on_run_config(environment_variables={3: "1"}), UserErrorException, ["environment_variables", "3", "Use letters"]),
    (on_run_config(environment_variables={"A": None}), UserErrorException, ["environment_variables['A']", "NoneType", "Write it"]),
    (on_run_config(environment_variables={"A": ["x"]}), UserErrorException, ["environment_variables['A']", "list", "Write it"]),
    (on_run_config(environment_variables={"A": "x\0"}), UserErrorException, ["environment_variables['A']", "NUL", "Remove it"]),
    (on_run_config(environment_variables=["A=1"]), UserErrorException, ["environment_variables", "['A=1']", "expected a dict"]),
    (
        on_run_config(environment_variables={"URL": "a:{{ prefect.blocks.secret.x }}@b"}),
        UserErrorException,
        ["environment_variables['URL']", "must be the whole value", "{{ prefect.blocks.secret.NAME }}", "Put the other parts"],
    ),
    ({"docker_runtime_config": DockerConfiguration(True)}, UserErrorException, ["docker.use_docker", "True", "Set use_docker=False"]),
    (environment_with(docker__enabled=True), UserErrorException, ["docker.use_docker", "environment.docker.enabled = False"]),
    ({"docker_runtime_config": DockerConfiguration(shm_size="2 GB")}, RunConfigurationException, ["docker.shm_size", "'2 GB'", "'2g'"]),
    ({"docker_runtime_config": DockerConfiguration(arguments="-v x")}, RunConfigurationException, ["docker.arguments", "'-v x'", "a list"]),  # type: ignore[arg-type]
    ({"docker_runtime_config": DockerConfiguration(arguments=[1])}, RunConfigurationException, ["docker.arguments", "[1]", "strings"]),  # type: ignore[list-item]
    (on_run_config(docker=None), RunConfigurationException, ["run_config.docker", "None", "DockerConfiguration"]),
    (on_run_config(history="off"), RunConfigurationException, ["run_config.history", "'off'", "HistoryConfiguration"]),
    (on_run_config(history__directories_to_watch="logs"), RunConfigurationException, ["directories_to_watch", "'logs'", "a list"]),
    (on_run_config(priority=[1]), RunConfigurationException, ["priority", "[1]", "a number"]),
    ({"environment": "AzureML-Minimal"}, UserErrorException, ["environment", "'AzureML-Minimal'", "expected an Environment"]),
    ({"environment": EnvironmentReference(7)}, UserErrorException, ["environment", "7", "Give a string"]),  # type: ignore[arg-type]
    (
        environment_with(python__conda_dependencies="conda.yml"),
        UserErrorException,
        ["conda_dependencies", "'conda.yml'", "CondaDependencies("],
    ),
    (environment_with(r="R"), UserErrorException, ["environment.r", "Set it to None"]),
    (pip("torch=1.2"), UserErrorException, ["conda_dependencies", "'torch=1.2'", "two equal signs"]),
    (pip("torch>>1"), UserErrorException, ["conda_dependencies", "'torch>>1'", "Write for instance"]),
    (pip("./no/wheel.whl"), UserErrorException, ["conda_dependencies", "there is no", "no/wheel.whl", "Give the path"]),
    (pip("x @ file:///no/x.zip"), UserErrorException, ["conda_dependencies", "there is no /no/x.zip", "Give the path"]),
    (pip("six", "-c no.txt"), UserErrorException, ["conda_dependencies", "'-c ", "no.txt", "Give the path"]),
    (pip("six", "-r no.txt"), UserErrorException, ["conda_dependencies", "'-r ", "no.txt", "Give the path"]),
    (pip("six", "--frobnicate"), UserErrorException, ["conda_dependencies", "'--frobnicate'", "Known are --constraint"]),
    (pip("six", "--index-url"), UserErrorException, ["conda_dependencies", "'--index-url' has no value", "Write it on the same line"]),
    (pip("six", python="2.6"), UserErrorException, ["conda_dependencies", "python 2.6", "from 3.6 on", "Ask for"]),
    (pip("six", python="three"), UserErrorException, ["conda_dependencies", "'three' is not a version of python", "3.10"]),
    (packages([{"pip": "six"}]), UserErrorException, ["conda_dependencies", "list of lines", "'six'", "Write for instance"]),
    (packages([{"pip": [1]}]), UserErrorException, ["conda_dependencies", "list of lines", "[1]", "Write for instance"]),
    (packages([{"npm": ["left-pad"]}]), UserErrorException, ["conda_dependencies", "npm", "neither", "{'pip': ["]),
    (packages(["=1.2"]), UserErrorException, ["conda_dependencies", "'=1.2' is not a conda package", "numpy=1.21"]),
    (environment_with(docker__base_dockerfile="FROM a"), UserErrorException, ["docker.base_dockerfile", "no container", "= None"]),
    (
        environment_with(python__user_managed_dependencies=True, python__interpreter_path="/no/python"),
        UserErrorException,
        ["interpreter_path", "'/no/python'", "there is no such file", "Give the path"],
    ),
]


@pytest.mark.parametrize("given, error, parts", BAD, ids=[f"{index}-{case[2][0]}" for index, case in enumerate(BAD)])
def test_bad_input(frozen: Freeze, given: Any, error: type[Exception], parts: list[str]) -> None:
    with pytest.raises(error) as caught:
        frozen(given) if callable(given) else frozen(**given)
    assert type(caught.value) is error
    for part in parts:
        assert part in caught.value.message  # type: ignore[attr-defined]


def test_script_given_from_here_instead_of_from_the_folder(frozen: Freeze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExperimentExecutionException, match="'code/sub/other.py' does not exist .*Did you mean 'sub/other.py'"):
        frozen(source_directory="code", script="code/sub/other.py")


def test_both_set_after_construction(frozen: Freeze) -> None:
    with pytest.raises(UserErrorException, match="both are given .*Set one of them to None"):
        frozen(lambda config: setattr(config, "command", "echo"))


def test_arguments_set_to_something_else_after_construction(frozen: Freeze) -> None:
    assert frozen(lambda config: setattr(config, "arguments", "--a 'b c'")).arguments == ["--a", "b c"]
    with pytest.raises(UserErrorException, match="arguments: expected a list or a string, got int: 3"):
        frozen(lambda config: setattr(config, "arguments", 3))


def test_tags_of_another_type(frozen: Freeze) -> None:
    with pytest.raises(UserErrorException, match=r"tags: expected a dict of names and values, got \['a'\]"):
        frozen(freeze_with={"tags": ["a"]})


def test_something_else_than_a_config() -> None:
    with pytest.raises(UserErrorException, match="config: expected a ScriptRunConfig, got str: 'train.py'"):
        freeze("train.py", workspace="w", experiment="e")  # type: ignore[arg-type]


def test_every_public_parameter_has_a_bad_input() -> None:
    """A parameter of ScriptRunConfig without a case here or in test_script_run_config would be one nobody checks."""
    import inspect

    elsewhere = {"run_config", "resume_from", "_telemetry_values"}
    named = {name for given, _, _ in BAD if isinstance(given, dict) for name in given}
    assert set(inspect.signature(ScriptRunConfig).parameters) - elsewhere <= named


def test_appended_arguments_arrive_in_a_real_shell(frozen: Freeze) -> None:
    arguments = ["it's", 'say "x"', "$HOME `id`", "a\\b", "", "new\nline", "*", "-n", "$AZUREML_DATAREFERENCE_d/x y"]
    printer = f'"{sys.executable}" -c "import json, sys; print(json.dumps(sys.argv[1:]))"'
    command = frozen(command=printer, arguments=arguments).command
    environment = {"AZUREML_DATAREFERENCE_d": "/data/my set", "HOME": "/root"}
    done = subprocess.run(["/bin/sh", "-c", str(command)], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [*arguments[:-1], "/data/my set/x y"]


def test_prefect_can_validate_the_result(frozen: Freeze) -> None:
    import pydantic

    spec = frozen(environment=Environment("mine"), distributed_job_config=MpiConfiguration(2, 2), arguments=["a"])
    assert pydantic.TypeAdapter(JobSpec).validate_python(spec.to_dict()) == spec
