"""The sections of an Environment: python, docker, spark."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.element import Element
from mlflows.exceptions import UserErrorException

logger = logging.getLogger(__name__)

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
DEFAULT_SHM_SIZE = "2g"


class PythonSection(Element):
    """Which python, and the packages it has.

    With ``user_managed_dependencies`` the python at ``interpreter_path`` is used as it is; otherwise one with ``conda_dependencies``
    is made.
    """

    user_managed_dependencies: bool
    interpreter_path: str
    base_conda_environment: str | None
    conda_dependencies: CondaDependencies | None
    _obsolete_keys: ClassVar[frozenset[str]] = frozenset({"caching", "latest"})

    def __init__(self, **kwargs: Any) -> None:
        """Set the defaults, then ``kwargs``.

        Raises:
            AttributeError: ``kwargs`` has a name that is no attribute.
        """
        self.user_managed_dependencies = False
        self.interpreter_path = "python"
        self.base_conda_environment = None
        self.conda_dependencies = CondaDependencies()
        self._conda_dependencies_file: str | None = None
        _set_all(self, kwargs)

    @property
    def conda_dependencies_file(self) -> str | None:
        """Path of the conda specification that ``conda_dependencies`` was read from; setting it reads the file.

        Raises:
            FileNotFoundError: there is no such file.
            UserErrorException: it is not a conda specification.
        """
        return self._conda_dependencies_file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, path: str | os.PathLike[str] | None) -> None:
        if path is not None:
            self.conda_dependencies = CondaDependencies(path)
        self._conda_dependencies_file = None if path is None else os.fspath(path)

    def _serialize_to_dict(self) -> dict[str, Any]:
        value = super()._serialize_to_dict()
        if isinstance(self.conda_dependencies, CondaDependencies):
            value["condaDependencies"] = self.conda_dependencies.as_dict()
        return value

    def _update(self, value: Mapping[str, Any]) -> None:
        self._check_mapping(value)
        rest = dict(value)
        file, inline = rest.pop("condaDependenciesFile", None), rest.pop("condaDependencies", None)
        super()._update(rest)
        if inline is not None:
            self.conda_dependencies = CondaDependencies(_underlying_structure=inline)
        elif file is not None:
            self.conda_dependencies_file = file


class ContainerRegistry(Element):
    """Where the base image comes from, and the name and password to get it with."""

    address: str | None
    username: str | None
    password: str | None
    _obsolete_keys: ClassVar[frozenset[str]] = frozenset({"registryIdentity"})

    def __init__(self) -> None:
        self.address = None
        self.username = None
        self.password = None

    def __repr__(self) -> str:
        return f"ContainerRegistry(address={self.address!r}, username={self.username!r}, password={'****' if self.password else None!r})"


class DockerPlatform(Element):
    """Platform of the image."""

    os: str
    architecture: str

    def __init__(self, os: str = "Linux", architecture: str = "amd64") -> None:
        self.os = os
        self.architecture = architecture


class DockerBuildContext(Element):
    """A folder with a Dockerfile."""

    location_type: str | None
    location: str | None
    dockerfile_path: str

    LOCAL = "local"

    def __init__(self, location_type: str | None = None, location: str | None = None, dockerfile_path: str = "Dockerfile") -> None:
        self.location_type = location_type
        self.location = location
        self.dockerfile_path = dockerfile_path

    @staticmethod
    def from_local_directory(
        workspace: object, path: str | os.PathLike[str], dockerfile_path: str | os.PathLike[str] = "Dockerfile"
    ) -> DockerBuildContext:
        """The folder ``path`` on this machine, read when the image is built; ``workspace`` is not needed for it.

        Raises:
            UserErrorException: there is no such folder, or no Dockerfile in it; one of them is no path.
        """
        paths = {"path": (path, "the folder with the Dockerfile"), "dockerfile_path": (dockerfile_path, "its path in the folder")}
        for field, (value, remedy) in paths.items():
            if not isinstance(value, (str, os.PathLike)):
                raise UserErrorException(f"{field}: expected a path, got {value!r}. Give {remedy}.")
        folder = os.path.abspath(path)
        if not os.path.isdir(folder):
            raise UserErrorException(f"path: {folder} is not a folder. Give the folder with the Dockerfile.")
        if not os.path.isfile(os.path.join(folder, dockerfile_path)):
            raise UserErrorException(f"dockerfile_path: there is no {os.fspath(dockerfile_path)} in {folder}. Give its path in the folder.")
        return DockerBuildContext(DockerBuildContext.LOCAL, folder, os.fspath(dockerfile_path))


class DockerSection(Element):
    """The image. ``base_image``, ``base_dockerfile`` and ``build_context`` exclude each other: the last one set holds.

    ``enabled, shm_size, arguments, shared_volumes, gpu_support`` are SDK v1's older place of DockerConfiguration and still work.
    """

    platform: DockerPlatform
    base_image_registry: ContainerRegistry
    enabled: bool
    shared_volumes: bool
    arguments: list[str]
    shm_size: str | None
    gpu_support: bool
    _properties: ClassVar[tuple[str, ...]] = ("base_image", "base_dockerfile", "build_context")
    _obsolete_keys: ClassVar[frozenset[str]] = frozenset({"gpuRuntimeVersion"})

    def __init__(self, **kwargs: Any) -> None:
        """Set the defaults, then ``kwargs``.

        Raises:
            AttributeError: ``kwargs`` has a name that is no attribute.
        """
        self._base_image: str | None = DEFAULT_CPU_IMAGE
        self._base_dockerfile: str | None = None
        self._build_context: DockerBuildContext | None = None
        self.enabled = False
        self.shared_volumes = True
        self.arguments = []
        self.shm_size = None
        self.gpu_support = False
        self.platform = DockerPlatform()
        self.base_image_registry = ContainerRegistry()
        _set_all(self, kwargs)

    @property
    def base_image(self) -> str | None:
        """Image that the environment is built on, or that is used as it is."""
        return self._base_image

    @base_image.setter
    def base_image(self, value: str | None) -> None:
        self._base_image = value
        self._reset_others("base_image", value)

    @property
    def base_dockerfile(self) -> str | None:
        """Text of a Dockerfile."""
        return self._base_dockerfile

    @base_dockerfile.setter
    def base_dockerfile(self, value: str | None) -> None:
        self._base_dockerfile = value
        self._reset_others("base_dockerfile", value)

    @property
    def build_context(self) -> DockerBuildContext | None:
        """Folder with a Dockerfile."""
        return self._build_context

    @build_context.setter
    def build_context(self, value: DockerBuildContext | None) -> None:
        self._build_context = value
        self._reset_others("build_context", value)

    def _reset_others(self, name: str, value: object) -> None:
        if value is None:
            return
        for other in ("base_image", "base_dockerfile", "build_context"):
            previous = getattr(self, f"_{other}")
            if other == name or previous is None:
                continue
            if previous != DEFAULT_CPU_IMAGE:
                logger.warning("docker.%s is reset: docker.%s takes its place.", other, name)
            setattr(self, f"_{other}", None)

    def _update(self, value: Mapping[str, Any]) -> None:
        self._check_mapping(value)
        rest = dict(value)
        context = rest.pop("buildContext", None)
        super()._update(rest)
        if context is not None:
            self.build_context = DockerBuildContext._deserialize(context)


class SparkSection(Element):
    """Spark packages; kept for compatibility, there is no Spark here."""

    repositories: list[str]
    packages: list[Any]
    precache_packages: bool

    def __init__(self, **kwargs: Any) -> None:
        self.repositories = []
        self.packages = []
        self.precache_packages = True
        _set_all(self, kwargs)


def _set_all(section: Element, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(section, name, value)
