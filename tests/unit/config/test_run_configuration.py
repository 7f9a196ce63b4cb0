"""RunConfiguration: defaults, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlflows.config.distributed import MpiConfiguration
from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.sections import DataReferenceConfiguration, DockerConfiguration
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException


def example() -> RunConfiguration:
    run_config = RunConfiguration("a.py", ["--x", 1], "PyTorch", "Nccl")
    run_config.target = "cluster"
    run_config.node_count = 2
    run_config.mpi = MpiConfiguration(4)
    run_config.docker = DockerConfiguration(True, shm_size="8g")
    run_config.history.snapshot_project = False
    run_config.data_references["data"] = DataReferenceConfiguration("store", path_on_datastore="x")
    run_config.environment = Environment("mine")
    run_config.environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["torch"])
    run_config.environment_variables = {"A": "1"}
    run_config.max_run_duration_seconds = 60
    return run_config


def test_defaults() -> None:
    run_config = RunConfiguration()
    assert (run_config.script, run_config.arguments, run_config.command) == (None, [], "")
    assert (run_config.target, run_config.framework, run_config.communicator, run_config.node_count) == ("local", "Python", "None", 1)
    assert (run_config.max_run_duration_seconds, run_config.priority) == (None, None)
    assert run_config.history.directories_to_watch == ["logs"]
    assert run_config.docker == DockerConfiguration()
    assert (run_config.data_references, run_config.data, run_config.output_data, run_config.datacaches) == ({}, {}, {}, [])
    assert run_config.amlcompute.vm_size is None
    assert run_config.kubernetescompute.instance_type is None
    assert (run_config.mpi.process_count_per_node, run_config.pytorch.process_count) == (1, None)
    assert (run_config.tensorflow.worker_count, run_config.tensorflow.parameter_server_count) == (1, 1)


def test_conda_dependencies() -> None:
    dependencies = CondaDependencies.create(pip_packages=["a"])
    assert RunConfiguration(conda_dependencies=dependencies).environment.python.conda_dependencies is dependencies


@pytest.mark.parametrize("separate", [False, True])
def test_save_and_load(tmp_path: Path, separate: bool) -> None:
    example().save(tmp_path, "train", separate_environment_yaml=separate)
    assert (tmp_path / ".azureml" / "train.runconfig").is_file()
    assert (tmp_path / ".azureml" / "environment.yml").is_file() is separate
    assert RunConfiguration.load(tmp_path, "train") == example()
    assert RunConfiguration.load(str(tmp_path / ".azureml" / "train.runconfig")) == example()


def test_file_has_camel_case_keys(tmp_path: Path) -> None:
    example().save(tmp_path / "my.runconfig")
    value = yaml.safe_load((tmp_path / "my.runconfig").read_text())
    assert (value["nodeCount"], value["history"]["snapshotProject"], value["mpi"]["processCountPerNode"]) == (2, False, 4)
    assert value["environment"]["python"]["condaDependencies"]["dependencies"] == ["python=3.10.18", {"pip": ["torch"]}]


def test_saving_again_goes_to_the_same_place(tmp_path: Path) -> None:
    example().save(tmp_path, "train")
    loaded = RunConfiguration.load(tmp_path, "train")
    loaded.node_count = 5
    loaded.save()
    assert RunConfiguration.load(tmp_path, "train").node_count == 5


def test_older_folder_is_used_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "aml_config").mkdir()
    example().save(tmp_path, "train")
    assert (tmp_path / "aml_config" / "train.runconfig").is_file()
    assert RunConfiguration.load(tmp_path, "train") == example()


def test_file_as_the_sdk_wrote_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml" / "conda.yml").write_text("dependencies:\n- python=3.6.2\n- pip:\n  - azureml-defaults\n")
    (tmp_path / ".azureml" / "local.runconfig").write_text(
        "script: train.py\narguments: []\ntarget: local\nframework: Python\ncommunicator: None\nautoPrepareEnvironment: true\n"
        "maxRunDurationSeconds:\nnodeCount: 1\nenvironment:\n  name: e\n  environmentVariables:\n    A: b\n  python:\n"
        "    userManagedDependencies: true\n    interpreterPath: python\n    condaDependenciesFile: .azureml/conda.yml\n"
        "  docker:\n    enabled: true\n    baseImage: i\n    sharedVolumes: true\n    gpuSupport: false\n    arguments: []\n"
        "    baseImageRegistry:\n      address:\n      username:\n      password:\n  spark:\n    repositories: []\n    packages: []\n"
        "history:\n  outputCollection: true\nspark:\n  configuration: {}\nhdi:\n  yarnDeployMode: cluster\ntensorflow:\n"
        "  workerCount: 1\n  parameterServerCount: 1\nmpi:\n  processCountPerNode: 1\ndataReferences: {}\n"
        "amlcompute:\n  vmSize:\n  vmPriority:\n  name:\n  retainCluster: false\n  clusterMaxNodeCount: 1\n"
        "containerInstance:\n  region:\n  cpuCores: 1\nbatchai: {}\n"
    )
    run_config = RunConfiguration.load(tmp_path, "local")
    assert run_config.environment.python.user_managed_dependencies is True
    assert run_config.environment.python.conda_dependencies.get_python_version() == "3.6.2"
    assert (run_config.environment.docker.enabled, run_config.environment_variables) == (True, {"A": "b"})
    assert run_config.history.directories_to_watch == ["logs"]
    assert caplog.text == ""


def test_delete(tmp_path: Path) -> None:
    example().save(tmp_path, "train")
    RunConfiguration.delete(tmp_path, "train")
    with pytest.raises(UserErrorException, match="there is no run configuration 'train'"):
        RunConfiguration.delete(tmp_path, "train")


class TestBadInput:
    def test_target(self) -> None:
        with pytest.raises(UserErrorException, match="target: expected the name .* got None"):
            RunConfiguration().target = None

    def test_saving_without_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="name: .*needs one to be saved in"):
            example().save(tmp_path)

    @pytest.mark.parametrize("path", ["none", "none/x.runconfig"])
    def test_saving_to_a_folder_that_does_not_exist(self, tmp_path: Path, path: str) -> None:
        with pytest.raises(FileNotFoundError, match="none does not exist"):
            example().save(tmp_path / path, "x")

    def test_loading_without_a_name(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="name: there is no file .*give the name"):
            RunConfiguration.load(tmp_path)

    def test_loading_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match=r"'x' in .*Looked for .*\.azureml/x\.runconfig, .*aml_config/x\.runconfig"):
            RunConfiguration.load(tmp_path, "x")

    @pytest.mark.parametrize(
        "text, expected",
        [
            ("a: [", "is not YAML"),
            ("- 1\n", "is not a run configuration: expected a mapping, got list"),
            ("environment: other.yml\n", "environment: 'other.yml', named in .* does not exist"),
            ("environment:\n  python:\n    condaDependenciesFile: c.yml\n", "condaDependenciesFile: 'c.yml', named in .* does not exist"),
        ],
    )
    def test_broken_file(self, tmp_path: Path, text: str, expected: str) -> None:
        (tmp_path / "x.runconfig").write_text(text)
        with pytest.raises(UserErrorException, match=expected):
            RunConfiguration.load(tmp_path, "x")

    def test_typing_error_in_a_file_is_logged(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        (tmp_path / "x.runconfig").write_text("nodeCont: 3\n")
        RunConfiguration.load(tmp_path, "x")
        assert "unknown key 'nodeCont' is left out. Did you mean 'nodeCount'?" in caplog.text
