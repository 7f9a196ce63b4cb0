"""Values of the wrong type: told by field, value and remedy wherever they are first looked at."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflows.config.freeze import freeze
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.environments import building
from mlflows.environments.checks import check_types
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import Environment
from mlflows.environments.sections import DockerBuildContext, DockerPlatform
from mlflows.exceptions import UserErrorException


class NoWorkspace:
    """Passes for one, and has nothing."""

    def _prefect(self) -> Any:
        return None

    def _container_registry(self) -> None:
        return None

    def get_default_datastore(self) -> None:
        return None


def frozen(environment: Environment) -> None:
    folder = Path(__file__).parent
    freeze(ScriptRunConfig(folder, "test_checks.py", environment=environment), workspace="w", experiment="e")


LOOKED_AT: dict[str, Callable[[Environment], Any]] = {
    "register": lambda environment: environment.register(NoWorkspace()),
    "build": lambda environment: building.prepared(environment, NoWorkspace()),
    "submit": frozen,
    "str": str,
}
FIVE: Any = 5
ATTRIBUTES: list[tuple[str, Any, list[str]]] = [
    ("version", 3, ["int: 3", "Give for instance '3'"]),
    ("environment_variables", ["A=1"], ["expected a dict of names and values, got list: ['A=1']", "Write for instance"]),
    ("inferencing_stack_version", 1, ["int: 1", "Set it to None"]),
    ("python", "3.8", ["expected a PythonSection, got str: '3.8'", "Set its attributes"]),
    ("python.user_managed_dependencies", "False", ["expected True or False, got str: 'False'", "Set it"]),
    ("python.interpreter_path", 3, ["expected the path of a python", "Give for instance"]),
    ("python.base_conda_environment", 3, ["int: 3", "Set it to None"]),
    ("python.conda_dependencies", "conda.yml", ["expected CondaDependencies, got str: 'conda.yml'", "CondaDependencies('path')"]),
    ("docker", "image", ["expected a DockerSection", "environment.docker.base_image"]),
    ("docker.base_image", 5, ["expected the name of an image, got int: 5", "Give for instance"]),
    ("docker.base_dockerfile", Path("Dockerfile"), ["expected the text of a Dockerfile", "from_dockerfile"]),
    ("docker.build_context", "folder", ["expected a DockerBuildContext, got str: 'folder'", "from_local_directory"]),
    ("docker.build_context", DockerBuildContext("local", FIVE), ["build_context.location", "int: 5", "from_local_directory"]),
    ("docker.platform", "linux/arm64", ["expected a DockerPlatform", "DockerPlatform('Linux', 'amd64')"]),
    ("docker.platform", DockerPlatform(os=FIVE), ["platform.os", "int: 5", "'Linux'"]),
    ("docker.platform", DockerPlatform(architecture=FIVE), ["platform.architecture", "int: 5", "'amd64'"]),
    ("docker.base_image_registry", "x.azurecr.io", ["expected a ContainerRegistry", "'x.azurecr.io'", "base_image_registry.address"]),
    ("docker.base_image_registry.address", 5, ["expected the address of a registry, got int: 5", "Give for instance"]),
    ("docker.base_image_registry.username", 5, ["expected a string, got int: 5", "Give a name"]),
    ("docker.base_image_registry.password", ["hunter2"], ["expected a string, got list.", "Secret block"]),
]


@pytest.mark.parametrize("look", LOOKED_AT)
@pytest.mark.parametrize(("field", "value", "parts"), ATTRIBUTES, ids=[f"{number}-{case[0]}" for number, case in enumerate(ATTRIBUTES)])
def test_attributes(field: str, value: Any, parts: list[str], look: str) -> None:
    environment = Environment("e")
    owner: Any = environment
    *sections, name = field.split(".")
    for section in sections:
        owner = getattr(owner, section)
    setattr(owner, name, value)
    with pytest.raises(UserErrorException) as caught:
        LOOKED_AT[look](environment)
    assert f"environment.{field}" in caught.value.message and "hunter2" not in caught.value.message
    for part in parts:
        assert part in caught.value.message


def test_a_variable_of_another_type() -> None:
    environment = Environment("e")
    environment.environment_variables = {"A": {"hunter2": 1}}  # type: ignore[dict-item]
    for look in LOOKED_AT.values():
        with pytest.raises(UserErrorException, match=r"environment_variables\['A'\]: .* got a dict. Write it") as caught:
            look(environment)
        assert "hunter2" not in caught.value.message


def test_what_is_right() -> None:
    environment = Environment("e")
    check_types(environment)
    environment.docker.build_context = DockerBuildContext("local", "/x")
    environment.python.conda_dependencies = None
    environment.environment_variables = None  # type: ignore[assignment]
    environment.docker.base_image_registry = None  # type: ignore[assignment]
    check_types(environment)


MAKERS: dict[str, Callable[..., Any]] = {
    "Environment": Environment,
    "from_dockerfile": Environment.from_dockerfile,
    "from_docker_image": Environment.from_docker_image,
    "from_docker_build_context": Environment.from_docker_build_context,
    "from_conda_specification": Environment.from_conda_specification,
    "from_existing_conda_environment": Environment.from_existing_conda_environment,
    "from_pip_requirements": Environment.from_pip_requirements,
    "load_from_directory": Environment.load_from_directory,
    "get": Environment.get,
    "list": Environment.list,
    "label": Environment.label,
    "add_private_pip_wheel": Environment.add_private_pip_wheel,
    "CondaDependencies": CondaDependencies,
    "create": CondaDependencies.create,
    "from_local_directory": DockerBuildContext.from_local_directory,
}
FILE = "requirements.txt"
ARGUMENTS: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("Environment", "name", {"name": 3}, ["expected a string, got 3"]),
    ("from_dockerfile", "name", {"name": 3, "dockerfile": "FROM a"}, ["expected a string, got 3"]),
    ("from_dockerfile", "dockerfile", {"name": "e", "dockerfile": 5}, ["a path, got int: 5", "Give the path of a Dockerfile, or its text"]),
    (
        "from_dockerfile",
        "conda_specification",
        {"name": "e", "dockerfile": "FROM a", "conda_specification": 5},
        ["a path, got int: 5", "Give the path"],
    ),
    (
        "from_dockerfile",
        "pip_requirements",
        {"name": "e", "dockerfile": "FROM a", "pip_requirements": ["six"]},
        ["a path, got list: ['six']", "Give the path"],
    ),
    ("from_docker_image", "name", {"name": 3, "image": "i"}, ["expected a string, got 3"]),
    ("from_docker_image", "image", {"name": "e", "image": 5}, ["the name of an image, got int: 5", "Give for instance"]),
    ("from_docker_image", "image", {"name": "e", "image": ""}, ["the name of an image, got str: ''", "Give for instance"]),
    (
        "from_docker_image",
        "container_registry",
        {"name": "e", "image": "i", "container_registry": "x.azurecr.io"},
        ["a ContainerRegistry, got str: 'x.azurecr.io'", "Set its address"],
    ),
    (
        "from_docker_image",
        "conda_specification",
        {"name": "e", "image": "i", "conda_specification": {"dependencies": []}},
        ["a path, got dict", "Give the path"],
    ),
    ("from_docker_image", "pip_requirements", {"name": "e", "image": "i", "pip_requirements": 5}, ["a path, got int: 5", "Give the path"]),
    ("from_docker_build_context", "name", {"name": 3, "docker_build_context": DockerBuildContext()}, ["expected a string, got 3"]),
    ("from_docker_build_context", "docker_build_context", {"name": "e", "docker_build_context": "x"}, ["'x'", "from_local_directory"]),
    ("from_conda_specification", "name", {"name": 3, "file_path": FILE}, ["expected a string, got 3"]),
    ("from_conda_specification", "file_path", {"name": "e", "file_path": 0}, ["a path, got int: 0", "Give the path"]),
    ("from_existing_conda_environment", "name", {"name": 3, "conda_environment_name": "c"}, ["expected a string, got 3"]),
    (
        "from_existing_conda_environment",
        "conda_environment_name",
        {"name": "e", "conda_environment_name": 5},
        ["a string, got int: 5", "conda env list"],
    ),
    ("from_pip_requirements", "name", {"name": 3, "file_path": FILE}, ["expected a string, got 3"]),
    ("from_pip_requirements", "file_path", {"name": "e", "file_path": ["six"]}, ["a path, got list: ['six']", "Give the path"]),
    (
        "from_pip_requirements",
        "pip_version",
        {"name": "e", "file_path": FILE, "pip_version": 20.1},
        ["a version of pip, got float: 20.1", "Give for instance"],
    ),
    ("load_from_directory", "path", {"path": 5}, ["a path, got int: 5", "Give the folder"]),
    ("get", "workspace", {"workspace": "w", "name": "e"}, ["expected a Workspace, got 'w'", "from_config"]),
    ("get", "name", {"workspace": NoWorkspace(), "name": 5}, ["expected a string, got 5", "Give for instance"]),
    ("get", "version", {"workspace": NoWorkspace(), "name": "e", "version": "1", "label": "l"}, ["both are given", "Give one"]),
    ("get", "label", {"workspace": NoWorkspace(), "name": "e", "label": 5}, ["expected a string, got 5", "Give for instance"]),
    ("list", "workspace", {"workspace": "w"}, ["expected a Workspace, got 'w'", "from_config"]),
    ("label", "workspace", {"workspace": "w", "name": "e", "version": "1", "labels": []}, ["expected a Workspace", "from_config"]),
    ("label", "name", {"workspace": NoWorkspace(), "name": 5, "version": "1", "labels": []}, ["expected a string, got 5", "Give"]),
    ("label", "labels", {"workspace": NoWorkspace(), "name": "e", "version": "1", "labels": "l"}, ["a list of strings", "Write"]),
    ("add_private_pip_wheel", "workspace", {"workspace": "w", "file_path": "x.whl"}, ["expected a Workspace", "from_config"]),
    ("add_private_pip_wheel", "file_path", {"workspace": NoWorkspace(), "file_path": 5}, ["5 is not a file", "Give the path"]),
    ("CondaDependencies", "conda_dependencies_file_path", {"conda_dependencies_file_path": 0}, ["a path, got 0", "Give the path"]),
    ("create", "python_version", {"python_version": ["3.8"]}, ["expected a string, got ['3.8']", "'3.10'"]),
    ("create", "python_version", {"python_version": None}, ["expected a string, got None", "'3.10'"]),
    ("create", "pip_packages", {"pip_packages": "six"}, ["expected a list of names", "Write ['six']"]),
    ("create", "pip_packages", {"pip_packages": 5}, ["expected a list of names, got 5", "Write"]),
    ("create", "conda_packages", {"conda_packages": "numpy"}, ["expected a list of names", "Write ['numpy']"]),
    ("create", "pip_indexurl", {"pip_indexurl": 5}, ["expected an address, got 5", "Give for instance"]),
    ("from_local_directory", "path", {"workspace": None, "path": 5}, ["a path, got 5", "Give the folder"]),
    ("from_local_directory", "dockerfile_path", {"workspace": None, "path": ".", "dockerfile_path": 5}, ["a path, got 5", "Give its path"]),
]
WITHOUT = {
    ("Environment", "kwargs"),  # logged, see test_environment
    ("label", "version"),  # any value is the text of a version
    ("add_private_pip_wheel", "exist_ok"),
    ("CondaDependencies", "_underlying_structure"),
    ("create", "pin_sdk_version"),
    ("from_local_directory", "workspace"),
}
"""Of which every value means something, or which are ours."""


@pytest.mark.parametrize(
    ("maker", "parameter", "given", "parts"), ARGUMENTS, ids=[f"{number}-{case[0]}-{case[1]}" for number, case in enumerate(ARGUMENTS)]
)
def test_arguments(
    maker: str, parameter: str, given: dict[str, Any], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE).write_text("six\n")
    with pytest.raises((UserErrorException, TypeError)) as caught:
        MAKERS[maker](**given)
    assert isinstance(caught.value, UserErrorException) or parameter == "name", caught.value
    message = str(getattr(caught.value, "message", caught.value))
    for part in (parameter, *parts):
        assert part in message, message


def test_every_public_parameter_has_a_bad_input() -> None:
    static = {name for name, value in vars(Environment).items() if isinstance(value, staticmethod) and not name.startswith("_")}
    assert static <= set(MAKERS)
    there = {(name, parameter) for name, maker in MAKERS.items() for parameter in inspect.signature(maker).parameters}
    assert there - WITHOUT - {(maker, parameter) for maker, parameter, _, _ in ARGUMENTS} == set()
