"""Curated environments: today's, the names of former times, and names that nobody has."""

from __future__ import annotations

import pytest
import yaml

from mlflows.environments import curated
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.exceptions import UserErrorException


class NoServer:
    """A workspace that must not be asked for its servers."""

    def _prefect(self) -> None:
        raise AssertionError("a curated environment needs no server")


@pytest.fixture(autouse=True)
def nobody_was_told() -> None:
    curated._told.clear()


def get(name: str, **options: str) -> Environment:
    return Environment.get(NoServer(), name, **options)  # type: ignore[arg-type]


def test_names() -> None:
    assert curated.names() == [
        "AzureML-Minimal",
        "AzureML-Tutorial",
        "AzureML-pytorch-2.8",
        "AzureML-sklearn-1.5",
        "AzureML-tensorflow-2.19",
        "AzureML-tensorflow-2.19-gpu",
    ]
    assert all(name in curated.names() for name in curated._TODAY.values())


@pytest.mark.parametrize("name", curated.names())
def test_each_is_complete_and_silent(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = get(name)
    assert (environment.name, environment.version) == (name, "1")
    assert environment.python.conda_dependencies.get_python_version() == "3.11"
    assert environment.environment_variables == {}
    assert not environment.python.user_managed_dependencies
    assert yaml.safe_load(environment.python.conda_dependencies.serialize_to_string())["name"] == name
    assert capsys.readouterr().err == ""


# names that public code asks for
@pytest.mark.parametrize(
    ("name", "used", "said"),
    [
        ("AzureML-Scikit-learn-0.20.3", "AzureML-sklearn-1.5", "scikit-learn 0.20.3"),
        ("AzureML-Scikit-learn0.24-Cuda11-OpenMpi4.1.0-py36", "AzureML-sklearn-1.5", "scikit-learn 0.24, python 3.6"),
        ("AzureML-sklearn-0.24-ubuntu18.04-py37-cpu", "AzureML-sklearn-1.5", "scikit-learn 0.24, python 3.7"),
        ("AzureML-sklearn-0.24-ubuntu18.04-py37-cuda11-gpu", "AzureML-sklearn-1.5", "scikit-learn 0.24, python 3.7"),
        ("AzureML-sklearn-0.24.1-ubuntu18.04-py37-cpu-inference", "AzureML-sklearn-1.5", "scikit-learn 0.24.1, python 3.7"),
        ("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "AzureML-sklearn-1.5", "scikit-learn 1.0, python 3.8"),
        ("AzureML-PyTorch-1.6-GPU", "AzureML-pytorch-2.8", "torch 1.6"),
        ("AzureML-pytorch-1.7-ubuntu18.04-py37-cuda11-gpu", "AzureML-pytorch-2.8", "torch 1.7, python 3.7"),
        ("AzureML-pytorch-1.10-ubuntu18.04-py38-cuda11-gpu", "AzureML-pytorch-2.8", "torch 1.10, python 3.8"),
        ("AzureML-ACPT-pytorch-1.13-py38-cuda11.7-gpu", "AzureML-pytorch-2.8", "torch 1.13, python 3.8"),
        ("AzureML-acpt-pytorch-2.2-cuda12.1", "AzureML-pytorch-2.8", "torch 2.2"),
        ("AzureML-pytorch-2.2-ubuntu22.04-py310-cuda12", "AzureML-pytorch-2.8", "torch 2.2, python 3.10"),
        ("AzureML-TensorFlow-1.13-CPU", "AzureML-tensorflow-2.19", "tensorflow 1.13"),
        ("AzureML-TensorFlow-2.2-GPU", "AzureML-tensorflow-2.19-gpu", "tensorflow 2.2"),
        ("AzureML-tensorflow-2.4-ubuntu18.04-py37-cuda11-gpu", "AzureML-tensorflow-2.19-gpu", "tensorflow 2.4, python 3.7"),
        ("AzureML-tensorflow-2.7-ubuntu20.04-py38-cuda11-gpu", "AzureML-tensorflow-2.19-gpu", "tensorflow 2.7, python 3.8"),
        ("AzureML-tensorflow-2.12-ubuntu20.04-py38-cpu", "AzureML-tensorflow-2.19", "tensorflow 2.12, python 3.8"),
        ("AzureML-minimal-ubuntu18.04-py37-cpu-inference", "AzureML-Minimal", "python 3.7"),
    ],
)
def test_names_of_former_times(name: str, used: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = get(name)
    assert environment.name == name
    assert environment.python == get(used).python
    told = capsys.readouterr().err
    assert told.startswith(f"mlflows: {name} ({said}) is not to be had any more. Used in its place: {used} (python 3.11")
    get(name)
    assert capsys.readouterr().err == ""


def test_versions_of_former_times(capsys: pytest.CaptureFixture[str]) -> None:
    environment = get("AzureML-Tutorial", version="61")
    assert environment.version == "1"
    assert "AzureML-Tutorial version 61 is not to be had any more. Used in its place: AzureML-Tutorial (python 3.11, mlflow" in (
        capsys.readouterr().err
    )
    assert get("AzureML-Tutorial", version="1") == get("AzureML-Tutorial", label="latest") == environment
    assert capsys.readouterr().err == ""


def test_what_is_got_is_ones_own() -> None:
    get("AzureML-Minimal").python.conda_dependencies.add_pip_package("numpy")
    assert list(get("AzureML-Minimal").python.conda_dependencies.pip_packages) == ["azureml-defaults"]
    assert get("AzureML-Minimal").clone("mine").version is None


def test_by_reference() -> None:
    assert EnvironmentReference("AzureML-Minimal").get_environment(NoServer()).name == "AzureML-Minimal"  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["AzureML-Triton", "AzureML-AutoML", "AzureML", "AzureML-Tutorials"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(Exception) as caught:
        get(name)
    text = str(caught.value)
    assert text.startswith("Error retrieving the environment definition. Code: 404")
    assert not isinstance(caught.value, UserErrorException)
    assert all(each in text for each in (repr(name), *curated.names()))


def test_unknown_label() -> None:
    with pytest.raises(Exception, match="Code: 404\n: The curated environment 'AzureML-Minimal' has no label 'mine'. Leave label out"):
        get("AzureML-Minimal", label="mine")
