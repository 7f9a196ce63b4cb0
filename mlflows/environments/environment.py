"""Environment: what a script runs in."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from mlflows.environments import credentials, requirements
from mlflows.environments.checks import check_instance, check_path, check_text, check_types
from mlflows.environments.conda_dependencies import PYTHON_DEFAULT_VERSION, CondaDependencies
from mlflows.environments.element import Element
from mlflows.environments.files import read_text
from mlflows.environments.sections import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerRegistry,
    DockerBuildContext,
    DockerSection,
    PythonSection,
    SparkSection,
)
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

if TYPE_CHECKING:
    from mlflows.environments.build_details import DockerImageDetails, ImageBuildDetails
    from mlflows.environments.building import Workspace as BuildWorkspace

__all__ = ["DEFAULT_CPU_IMAGE", "DEFAULT_GPU_IMAGE", "Environment", "EnvironmentReference"]

logger = logging.getLogger(__name__)

DEFINITION_FILE = "azureml_environment.json"
CONDA_FILE = "conda_dependencies.yml"
DOCKERFILE = "BaseDockerfile"

_KNOWN_EXTRAS = frozenset({"workspace"})


class HasPrefect(Protocol):
    """What registered environments need of a workspace."""

    def _prefect(self) -> RestClient:
        """Its Prefect server."""


class Environment(Element):
    """A name and what stands behind it: a python with packages, an image, environment variables.

    ``r`` is SDK v1's section for R, which mlflows does not run.
    """

    name: str | None
    version: str | None
    python: PythonSection
    docker: DockerSection
    spark: SparkSection
    r: Any
    inferencing_stack_version: str | None
    _properties: ClassVar[tuple[str, ...]] = ("environment_variables",)
    _obsolete_keys: ClassVar[frozenset[str]] = frozenset({"assetId", "autoRebuild"})

    def __init__(self, name: str, **kwargs: Any) -> None:
        """Make the default environment: python 3.8.13 with azureml-defaults.

        Raises:
            TypeError: the name is not a string.
        """
        if not isinstance(name, str):
            raise TypeError(f"name: expected a string, got {name!r}.")
        unused = sorted(key for key in kwargs if key not in _KNOWN_EXTRAS and not key.startswith("_"))
        if unused:
            logger.warning("Environment %r: arguments without effect: %s.", name, ", ".join(unused))
        self._set_defaults(name)

    def _set_defaults(self, name: str | None) -> None:
        self.name = name
        self.version = None
        self._environment_variables: dict[str, str] = {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.r = None
        self.inferencing_stack_version = None

    @property
    def environment_variables(self) -> dict[str, str]:
        """Variables for the script."""
        return self._environment_variables

    @environment_variables.setter
    def environment_variables(self, value: dict[str, str]) -> None:
        self._environment_variables = value

    def clone(self, new_name: str) -> Environment:
        """A copy with another name and no version.

        Raises:
            UserErrorException: the name is not a string, or empty.
        """
        if not isinstance(new_name, str) or not new_name:
            raise UserErrorException(f"new_name: expected the name of the copy, got {new_name!r}.")
        other = copy.deepcopy(self)
        other.name, other.version = new_name, None
        return other

    def register(self, workspace: HasPrefect) -> Environment:
        """Keep the definition under its name, for everybody who uses the workspace; passwords and tokens become Prefect Secret blocks.

        Returns:
            A copy with the version: the newest one's if nothing has changed since, else the next whole number.

        Raises:
            UserErrorException: the name begins with ``AzureML`` or is empty; a value is of the wrong type; not a workspace.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        from mlflows.environments import registry  # here and below: 2 ms that a submit does without

        client = _prefect_of(workspace)
        check_types(self)
        definition, secrets = credentials.taken_out(self._serialize_to_dict())
        version = registry.register(client, definition, self.name or "", secrets)
        registered = copy.deepcopy(self)
        registered.version = version
        return registered

    @staticmethod
    def get(workspace: HasPrefect, name: str, version: str | None = None, label: str | None = None) -> Environment:
        """A registered or curated environment: of a version, of a label, else the newest.

        Raises:
            UserErrorException: version and label are both given; the name is not a string; not a workspace.
            Exception: there is no such environment, version or label; the message says which there are.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        from mlflows.environments import registry

        _check_workspace(workspace)
        _check_text("name", name)
        if version is not None and label is not None:
            raise UserErrorException(
                f"version and label: both are given ({version!r}, {label!r}). Give one of them, or none for the newest."
            )
        if label is not None:
            _check_text("label", label)
        client = None if registry.is_curated(name) else workspace._prefect()
        return Environment._deserialize(registry.get(client, name, None if version is None else str(version), label))

    @staticmethod
    def list(workspace: HasPrefect) -> dict[str, Environment]:
        """Name -> newest version of all registered environments, and the curated ones.

        Raises:
            UserErrorException: not a workspace.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        from mlflows.environments import curated, registry

        found = registry.list(_prefect_of(workspace))
        all_of_them = {**{name: curated.definition(name) or {} for name in curated.names()}, **found}
        return _Environments({name: Environment._deserialize(definition) for name, definition in all_of_them.items()})

    @staticmethod
    def label(workspace: HasPrefect, name: str, version: str, labels: Iterable[str]) -> None:
        """Give a version labels, by which get finds it; another version that has one of them loses it.

        Raises:
            UserErrorException: labels are no list of strings, or one is ``latest``, which the newest version always has; the environment
                is a curated one; not a workspace.
            Exception: there is no such environment or version.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        from mlflows.environments import registry

        client = _prefect_of(workspace)
        _check_text("name", name)
        if isinstance(labels, str) or not all(isinstance(each, str) and each for each in labels):
            raise UserErrorException(f"labels: expected a list of strings, got {labels!r}. Write for instance ['production'].")
        if registry.LATEST in labels:
            raise UserErrorException(f"labels: {registry.LATEST!r} is always the newest version's. Choose another label.")
        registry.label(client, name, str(version), labels)

    def build(self, workspace: BuildWorkspace, image_build_compute: str | None = None) -> ImageBuildDetails:
        """Build the image, unless it is there already; the environment is registered, with a warning, if it is not.

        The build goes on in the background, and this process does not end before it.

        Args:
            workspace: whose registry, if it has one, gets the image.
            image_build_compute: accepted and not used.

        Raises:
            UserErrorException: no container engine, or it does not run; the definition cannot be right; not a workspace.
        """
        from mlflows.environments import building

        return building.build(self, workspace)

    def build_local(self, workspace: BuildWorkspace, platform: str | None = None, **kwargs: Any) -> None:
        """Build here and now, and print the output: the packages for runs of this machine, or the image.

        Args:
            workspace: whose registry gets the image if it is to be pushed.
            platform: Linux, Windows or OSX: this machine's.
            kwargs: ``useDocker=True`` builds the image, ``pushImageToWorkspaceAcr=True`` pushes it, too.

        Raises:
            UserErrorException: the environment is not registered; the build failed: what, why, and where the log is.
        """
        from mlflows.environments import building

        docker, push = (bool(kwargs.pop(name, False)) for name in ("useDocker", "pushImageToWorkspaceAcr"))
        if kwargs:
            raise UserErrorException(f"build_local: unknown arguments {sorted(kwargs)}. Known are useDocker and pushImageToWorkspaceAcr.")
        building.build_local(self, workspace, platform, docker, push)

    def get_image_details(self, workspace: BuildWorkspace) -> DockerImageDetails:
        """Name of the image, whether it is there, and its Dockerfile. Nothing is built."""
        from mlflows.environments import building

        return building.image_details(self, workspace)

    @staticmethod
    def add_private_pip_wheel(workspace: BuildWorkspace, file_path: str | os.PathLike[str], exist_ok: bool = False) -> str:
        """Keep a wheel in the workspace's default datastore.

        Returns:
            What to give to ``CondaDependencies.add_pip_package``.

        Raises:
            UserErrorException: there is no such file, or it is not a wheel; one of its name is there and ``exist_ok`` is not set.
        """
        from mlflows.environments import building

        return building.add_private_pip_wheel(workspace, file_path, exist_ok)

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str | os.PathLike[str],
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """From a Dockerfile, given by its path or as text; packages are put on top of it if a file names some.

        Raises:
            FileNotFoundError: one of the files does not exist.
            UserErrorException: both files of packages are given; an argument is of the wrong type.
        """
        environment = _with_packages(name, conda_specification, pip_requirements)
        environment.docker.base_dockerfile = _dockerfile_text(dockerfile)
        return environment

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """From an image; packages are put on top of it if a file names some, else its python is used as it is.

        Raises:
            FileNotFoundError: a file does not exist.
            UserErrorException: both files of packages are given; an argument is of the wrong type.
        """
        environment = _with_packages(name, conda_specification, pip_requirements)
        check_text("image", image, "the name of an image", "Give for instance 'python:3.11-slim'.")
        environment.docker.base_image = image
        if container_registry is not None:
            check_instance("container_registry", container_registry, ContainerRegistry, "Set its address, username and password.")
            environment.docker.base_image_registry = container_registry
        return environment

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """From a folder with a Dockerfile, whose python is used as it is.

        Raises:
            UserErrorException: ``docker_build_context`` is something else.
        """
        if not isinstance(docker_build_context, DockerBuildContext):
            raise UserErrorException(
                f"docker_build_context: expected a DockerBuildContext, got {docker_build_context!r}. "
                "Make one with DockerBuildContext.from_local_directory."
            )
        environment = _with_packages(name, None, None)
        environment.docker.build_context = docker_build_context
        return environment

    @staticmethod
    def from_conda_specification(name: str, file_path: str | os.PathLike[str]) -> Environment:
        """From a conda specification file. If it does not ask for python, 3.10.18 is added and a warning logged.

        Raises:
            FileNotFoundError: there is no such file.
            UserErrorException: it is not a conda specification.
        """
        environment = Environment(name)
        check_path("file_path", file_path, "Give the path of a conda specification file.")
        dependencies = CondaDependencies(file_path)
        if dependencies.get_python_version() is None and "python" not in dependencies.conda_packages:
            logger.warning("%s does not ask for python: %s is added.", os.fspath(file_path), PYTHON_DEFAULT_VERSION)
            dependencies.set_python_version(PYTHON_DEFAULT_VERSION)
        environment.python.conda_dependencies = dependencies
        return environment

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment | None:
        """From an environment of this machine's conda; None, and a printed sentence, without conda or the environment."""
        from mlflows.environments.conda import export_environment

        environment = Environment(name)
        check_text("conda_environment_name", conda_environment_name, "a string", "Give one of those that `conda env list` shows.")
        specification = export_environment(conda_environment_name)
        if specification is None:
            return None
        environment.python.conda_dependencies = CondaDependencies(_underlying_structure=specification)
        return environment

    @staticmethod
    def from_pip_requirements(name: str, file_path: str | os.PathLike[str], pip_version: str | None = None) -> Environment:
        """From a requirements.txt, on python 3.8.13; files it includes by ``-r`` are put in their place.

        Raises:
            FileNotFoundError: there is no such file, or one that it includes is not there.
            UserErrorException: a file is no text, or includes itself; an argument is of the wrong type.
        """
        environment = Environment(name)
        dependencies = CondaDependencies()
        check_path("file_path", file_path, "Give the path of a requirements.txt.")
        if pip_version is not None:
            check_text("pip_version", pip_version, "a version of pip", "Give for instance '23.3'.")
        dependencies.add_conda_package(f"pip={pip_version}" if pip_version else "pip")
        dependencies.set_pip_requirements(requirements.lines_of_file(os.fspath(file_path)))
        environment.python.conda_dependencies = dependencies
        return environment

    def save_to_directory(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the definition to a folder: ``azureml_environment.json``, ``conda_dependencies.yml``, ``BaseDockerfile``.

        Raises:
            FileExistsError: the folder exists and ``overwrite`` is not set.
        """
        check_path("path", path, "Give the folder to write.")
        check_types(self)
        os.makedirs(path, exist_ok=overwrite)
        definition = self._serialize_to_dict()
        definition["python"].pop("condaDependencies", None)
        if self.python.conda_dependencies is not None:
            self.python.conda_dependencies.save_to_file(path, CONDA_FILE)
        else:
            _write_text(os.path.join(path, CONDA_FILE), None)
        _write_text(os.path.join(path, DOCKERFILE), definition["docker"].pop("baseDockerfile"))
        _write_text(os.path.join(path, DEFINITION_FILE), json.dumps(definition, indent=4))

    @staticmethod
    def load_from_directory(path: str | os.PathLike[str]) -> Environment:
        """Read what ``save_to_directory`` wrote; the conda and Docker files, if present, hold against the JSON file.

        Raises:
            FileNotFoundError: there is no such folder, or no ``azureml_environment.json`` in it.
            UserErrorException: a file is not what it should be.
        """
        check_path("path", path, "Give the folder that save_to_directory wrote.")
        environment = Environment._deserialize(_read_definition(os.path.join(path, DEFINITION_FILE)))
        conda_file, dockerfile = os.path.join(path, CONDA_FILE), os.path.join(path, DOCKERFILE)
        if os.path.isfile(conda_file):
            environment.python.conda_dependencies = CondaDependencies(conda_file)
        if os.path.isfile(dockerfile):
            environment.docker.base_dockerfile = read_text(dockerfile)
        check_types(environment)
        return environment

    @classmethod
    def _deserialize(cls, value: Mapping[str, Any]) -> Environment:
        environment = Environment(str(value.get("name") or ""))
        environment._update(value)
        return environment

    def __str__(self) -> str:
        """The definition as JSON, with ``****`` for passwords and tokens.

        Raises:
            UserErrorException: an attribute has a value of another type than its own.
        """
        check_types(self)
        return json.dumps(credentials.masked_definition(self._serialize_to_dict()), indent=4, default=str)

    def __repr__(self) -> str:
        return f"Environment(Name: {self.name}, Version: {self.version})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        from mlflows.environments.summary import as_html

        return as_html(self._serialize_to_dict())


class EnvironmentReference(Element):
    """A registered environment, by name."""

    name: str
    version: str | None

    def __init__(self, name: str, version: str | None = None) -> None:
        self.name = name
        self.version = version

    def get_environment(self, workspace: HasPrefect) -> Environment:
        """The environment itself. Errors as in Environment.get."""
        return Environment.get(workspace, self.name, self.version)


class _Environments(dict[str, Environment]):
    """What Environment.list gives: also a curated environment's former name finds something."""

    def __missing__(self, name: str) -> Environment:
        from mlflows.environments import curated

        definition = curated.definition(name) if isinstance(name, str) else None
        if definition is None:
            raise KeyError(name)
        return Environment._deserialize(definition)


def _check_workspace(workspace: Any) -> None:
    if not hasattr(workspace, "_prefect"):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")


def _prefect_of(workspace: HasPrefect) -> RestClient:
    _check_workspace(workspace)
    return workspace._prefect()


def _check_text(field: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise UserErrorException(f"{field}: expected a string, got {value!r}. Give for instance 'training'.")


def _with_packages(
    name: str, conda_specification: str | os.PathLike[str] | None, pip_requirements: str | os.PathLike[str] | None
) -> Environment:
    if conda_specification and pip_requirements:
        raise UserErrorException(
            f"conda_specification and pip_requirements: both are given ({conda_specification}, {pip_requirements}). Give one of them."
        )
    if conda_specification:
        check_path("conda_specification", conda_specification, "Give the path of a conda specification file.")
        return Environment.from_conda_specification(name, conda_specification)
    if pip_requirements:
        check_path("pip_requirements", pip_requirements, "Give the path of a requirements.txt.")
        return Environment.from_pip_requirements(name, pip_requirements)
    environment = Environment(name)
    environment.python.user_managed_dependencies = True
    return environment


def _dockerfile_text(dockerfile: str | os.PathLike[str]) -> str:
    check_path("dockerfile", dockerfile, "Give the path of a Dockerfile, or its text.")
    text = os.fspath(dockerfile)
    is_text = isinstance(dockerfile, str) and "\n" in text or text.lstrip().upper().startswith(("FROM ", "ARG ", "#"))
    return text if is_text else read_text(text)


def _read_definition(path: str) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except ValueError as error:
        raise UserErrorException(f"{path} is not JSON: {error}. Correct it, or write it anew with save_to_directory.", error) from error
    if not isinstance(found, dict):
        raise UserErrorException(f"{path} is not an environment: expected an object with name, python and docker, got {found!r:.80}.")
    return found


def _write_text(path: str, text: str | None) -> None:
    """Write a file; without a text there is none, also none of before."""
    if text is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    elif os.path.lexists(path):
        os.unlink(path)
