"""Environment: constructors that need no server, and its folder form."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from mlflows.config.run_configuration import EnvironmentDefinition
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import DEFAULT_CPU_IMAGE, Environment
from mlflows.environments.sections import ContainerRegistry, DockerBuildContext, DockerSection, PythonSection
from mlflows.exceptions import UserErrorException


def pip_lines(environment: Environment) -> list[str]:
    assert environment.python.conda_dependencies is not None
    return list(environment.python.conda_dependencies.pip_packages)


def test_defaults() -> None:
    environment = Environment("e")
    assert (environment.name, environment.version, environment.inferencing_stack_version) == ("e", None, None)
    assert environment.environment_variables == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    assert (environment.python.interpreter_path, environment.python.user_managed_dependencies) == ("python", False)
    assert environment.docker.base_image == DEFAULT_CPU_IMAGE
    assert environment.docker.enabled is False


def test_older_spellings_are_silent(caplog: pytest.LogCaptureFixture) -> None:
    environment = Environment(workspace=object(), name="e")
    environment.docker.enabled = True
    environment.docker.base_image = "image"
    environment.docker.shm_size = "8g"
    environment.docker.gpu_support = True
    environment.docker.arguments = ["--ipc=host"]
    environment.docker.shared_volumes = False
    environment.environment_variables = {"A": "1"}
    assert caplog.text == ""


def test_last_of_image_dockerfile_and_context_holds(caplog: pytest.LogCaptureFixture) -> None:
    docker = Environment("e").docker
    docker.base_dockerfile = "FROM a"
    assert (docker.base_image, docker.base_dockerfile) == (None, "FROM a")
    assert caplog.text == ""  # only the default was reset
    docker.base_image = "image"
    assert (docker.base_image, docker.base_dockerfile) == ("image", None)
    assert "docker.base_dockerfile is reset: docker.base_image takes its place" in caplog.text
    docker.build_context = DockerBuildContext("local", "/x")
    assert (docker.base_image, docker.build_context.location) == (None, "/x")
    docker.base_image = None
    assert docker.build_context is not None


def test_from_conda_specification(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "conda.yml"
    file.write_text("dependencies:\n- numpy\n- pip:\n  - torch\n")
    environment = Environment.from_conda_specification("e", file)
    dependencies = environment.python.conda_dependencies
    assert list(dependencies.conda_packages) == ["python=3.10.18", "numpy"]
    assert "does not ask for python: 3.10.18 is added" in caplog.text


def test_from_conda_specification_keeps_its_python(tmp_path: Path) -> None:
    file = tmp_path / "conda.yml"
    file.write_text("dependencies:\n- python>=3.6\n")
    assert list(Environment.from_conda_specification("e", str(file)).python.conda_dependencies.conda_packages) == ["python>=3.6"]


def test_from_pip_requirements(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("numpy\n")
    file = tmp_path / "requirements.txt"
    file.write_text("# comment\n-r base.txt\ntorch==2 # why\n--pre\n\npandas>=1,\\\n<2\nx @ git+https://e.org/x#egg=x\n")
    dependencies = Environment.from_pip_requirements("e", file, "21.0").python.conda_dependencies
    assert list(dependencies.conda_packages) == ["python=3.8.13", "pip=21.0"]
    assert list(dependencies.pip_packages) == ["numpy", "torch==2", "pandas>=1, <2", "x @ git+https://e.org/x#egg=x"]
    assert list(dependencies.pip_options) == ["--pre"]


def test_from_docker_image(tmp_path: Path) -> None:
    registry = ContainerRegistry()
    registry.address = "registry.example.org"
    environment = Environment.from_docker_image("e", "image:1", registry)
    assert environment.python.user_managed_dependencies is True
    assert (environment.docker.base_image, environment.docker.base_image_registry.address) == ("image:1", "registry.example.org")
    (tmp_path / "r.txt").write_text("torch\n")
    environment = Environment.from_docker_image("e", "image:1", pip_requirements=tmp_path / "r.txt")
    assert environment.python.user_managed_dependencies is False
    assert pip_lines(environment) == ["torch"]


def test_from_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\nRUN b\n")
    assert Environment.from_dockerfile("e", tmp_path / "Dockerfile").docker.base_dockerfile == "FROM a\nRUN b\n"
    assert Environment.from_dockerfile("e", str(tmp_path / "Dockerfile")).docker.base_image is None
    assert Environment.from_dockerfile("e", "FROM a").docker.base_dockerfile == "FROM a"
    with pytest.raises(FileNotFoundError, match="no/Dockerfile"):
        Environment.from_dockerfile("e", "no/Dockerfile")


def test_from_build_context(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    context = DockerBuildContext.from_local_directory(None, tmp_path)
    environment = Environment.from_docker_build_context("e", context)
    assert (environment.docker.build_context.location, environment.docker.base_image) == (str(tmp_path), None)
    assert Environment._deserialize(environment._serialize_to_dict()) == environment


def test_from_existing_conda_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Environment.from_existing_conda_environment("e", "mine") is None
    assert "No conda was found on PATH" in capsys.readouterr().out
    conda = tmp_path / "conda"
    conda.write_text(
        '#!/bin/sh\n[ "$5" = mine ] || { echo "not found: $5" >&2; exit 1; }\n'
        'echo "name: mine"; echo "dependencies: [python=3.7, numpy]"; echo "prefix: /x"\n'
    )
    conda.chmod(0o755)
    environment = Environment.from_existing_conda_environment("e", "mine")
    assert environment is not None
    assert list(environment.python.conda_dependencies.conda_packages) == ["python=3.7", "numpy"]
    assert Environment.from_existing_conda_environment("e", "other") is None
    assert "not found: other" in capsys.readouterr().out


def test_clone() -> None:
    environment = Environment("a")
    environment.version = "3"
    other = environment.clone("b")
    other.python.conda_dependencies.add_pip_package("x")
    other.environment_variables["A"] = "1"
    assert (other.name, other.version) == ("b", None)
    assert (pip_lines(environment), "A" in environment.environment_variables) == (["azureml-defaults"], False)


def test_folder_round_trip(tmp_path: Path) -> None:
    environment = Environment("e")
    environment.docker.base_dockerfile = "FROM a\n"
    environment.environment_variables = {"A": "1"}
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["torch"])
    environment.inferencing_stack_version = "latest"
    environment.save_to_directory(tmp_path / "saved")
    assert sorted(os.listdir(tmp_path / "saved")) == ["BaseDockerfile", "azureml_environment.json", "conda_dependencies.yml"]
    assert Environment.load_from_directory(tmp_path / "saved") == environment
    with pytest.raises(FileExistsError):
        environment.save_to_directory(tmp_path / "saved")
    environment.save_to_directory(tmp_path / "saved", overwrite=True)


def test_what_is_saved_over_another_leaves_nothing_of_it(tmp_path: Path) -> None:
    former, other = Environment("former"), Environment("other")
    former.docker.base_dockerfile = "FROM a\n"
    other.python.conda_dependencies = None
    for environment in (former, other):
        environment.save_to_directory(tmp_path, overwrite=True)
    assert os.listdir(tmp_path) == ["azureml_environment.json"]
    assert Environment.load_from_directory(tmp_path).docker.base_image == DEFAULT_CPU_IMAGE


def test_loading_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="azureml_environment.json"):
        Environment.load_from_directory(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"name": ', "is not JSON: .*write it anew with save_to_directory"),
        ("\0", "is not text in UTF-8: .*Save it as UTF-8"),
        ("[1]", "is not an environment: expected an object with name, python and docker"),
        ('{"python": 3}', "PythonSection: expected a mapping, got 3"),
        ('{"python": {"condaDependencies": 3}}', r"condaDependencies: expected an object .*, got 3\. Write"),
        ('{"python": {"condaDependencies": ["numpy"]}}', r"condaDependencies: expected an object .*, got \['numpy'\]"),
        ('{"python": {"condaDependencies": {"dependencies": "numpy"}}}', "dependencies must be a list"),
        ('{"docker": {"baseImageRegistry": "x"}}', "ContainerRegistry: expected a mapping, got 'x'"),
    ],
)
def test_loading_what_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "azureml_environment.json").write_text(text)
    with pytest.raises(UserErrorException, match=said):
        Environment.load_from_directory(tmp_path)


def test_folder_of_another_sdk_version(tmp_path: Path) -> None:
    python = {"condaDependencies": {"dependencies": ["python=3.6"]}}
    definition = {"name": "e", "assetId": "x", "python": python, "docker": {"baseImage": "i"}}
    (tmp_path / "azureml_environment.json").write_text(json.dumps(definition))
    environment = Environment.load_from_directory(tmp_path)
    assert environment.python.conda_dependencies.get_python_version() == "3.6"
    assert environment.docker.base_image == "i"


def test_text_forms_have_no_password() -> None:
    environment = Environment("e")
    environment.docker.base_image_registry.password = "hunter2"
    assert json.loads(str(environment))["name"] == "e"
    assert repr(environment) == "Environment(Name: e, Version: None)"
    for text in (str(environment), repr(environment), repr(environment.docker)):
        assert "hunter2" not in text


def test_conda_dependencies_file(tmp_path: Path) -> None:
    file = tmp_path / "conda.yml"
    file.write_text("dependencies: [python=3.6]\n")
    python = PythonSection(interpreter_path="python3")
    python.conda_dependencies_file = str(file)
    assert python.conda_dependencies.get_python_version() == "3.6"
    assert python.conda_dependencies_file == str(file)


class TestBadInput:
    def test_name(self) -> None:
        with pytest.raises(TypeError, match="name: expected a string, got 3"):
            Environment(3)  # type: ignore[arg-type]

    def test_arguments_without_effect_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            Environment("e", pyhton=1)
        assert "'e': arguments without effect: pyhton" in caplog.text

    def test_clone(self) -> None:
        with pytest.raises(UserErrorException, match="new_name: expected the name of the copy, got None"):
            Environment("e").clone(None)  # type: ignore[arg-type]

    def test_two_files_of_packages(self) -> None:
        with pytest.raises(UserErrorException, match=r"both are given \(a.yml, b.txt\). Give one"):
            Environment.from_docker_image("e", "i", conda_specification="a.yml", pip_requirements="b.txt")

    @pytest.mark.parametrize("make", [Environment.from_conda_specification, Environment.from_pip_requirements])
    def test_missing_file(self, make: object) -> None:
        with pytest.raises(FileNotFoundError, match="no.file"):
            make("e", "no.file")  # type: ignore[operator]

    def test_build_context_of_another_type(self) -> None:
        with pytest.raises(UserErrorException, match="docker_build_context: expected a DockerBuildContext, got 'x'.*from_local_directory"):
            Environment.from_docker_build_context("e", "x")  # type: ignore[arg-type]

    def test_build_context_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="path: .*none is not a folder"):
            DockerBuildContext.from_local_directory(None, tmp_path / "none")
        with pytest.raises(UserErrorException, match="dockerfile_path: there is no Dockerfile in"):
            DockerBuildContext.from_local_directory(None, tmp_path)

    def test_section_arguments(self) -> None:
        with pytest.raises(AttributeError, match="base_imag.*Did you mean 'base_image'"):
            DockerSection(base_imag="x")


def test_unknown_names_are_refused() -> None:
    for owner in (Environment, Environment("e"), EnvironmentDefinition):
        assert not hasattr(owner, "gett") and hasattr(owner, "build_local")
