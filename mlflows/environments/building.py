"""Environments built when a person says so, not when a run needs them: what stands behind Environment.build and its like."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlflows.environments import builds, credentials, image, image_search, requirements
from mlflows.environments.build_details import DockerImageDetails, ImageBuildDetails
from mlflows.environments.checks import check_types
from mlflows.environments.digest import content_of
from mlflows.environments.engine import Engine
from mlflows.environments.image_registry import Registry
from mlflows.environments.work import Resolve, never
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

if TYPE_CHECKING:
    from mlflows.environments.environment import Environment

logger = logging.getLogger(__name__)

WHEELS = "azureml-private-packages"
"""Folder of private wheels in the default datastore."""

_WHEEL = re.compile(r"[\w.]+-[\w.!+]+(-\d[\w.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
_PLATFORMS = {"linux": "linux", "osx": "darwin", "windows": "win32"}


class Workspace(Protocol):
    """What building needs of a workspace."""

    def _prefect(self) -> RestClient:
        """Its Prefect server."""

    def _container_registry(self) -> Mapping[str, Any] | None:
        """What its config.json has as container_registry."""

    def get_default_datastore(self) -> Any:
        """Where files are kept for everybody."""


def build(environment: Environment, workspace: Workspace) -> ImageBuildDetails:
    """Build the image in a thread; see Environment.build."""
    _check_workspace(workspace)
    Engine.find().check()  # what is in the way of every build is told at once
    if environment.version is None:
        logger.warning("Environment %r is not registered yet: it is registered now.", environment.name)
        environment = environment.register(workspace)
    definition, resolve, registry = prepared(environment, workspace)
    return ImageBuildDetails(
        lambda write, stopped: image.ensure_image(definition, registry=registry, resolve=resolve, write=write, stopped=stopped)
    )


def build_local(environment: Environment, workspace: Workspace, platform: str | None, docker: bool, push: bool) -> None:
    """Build here, and show the output; see Environment.build_local."""
    _check_workspace(workspace)
    if platform is not None and _PLATFORMS.get(str(platform).lower()) != sys.platform:
        raise UserErrorException(f"platform: {platform!r} is not this machine's, {sys.platform}. Leave it out.")
    if environment.version is None:
        raise UserErrorException(
            f"Environment {environment.name!r} is not registered. Register it first: environment = environment.register(workspace)."
        )
    definition, resolve, registry = prepared(environment, workspace)
    if push and registry is None:
        raise UserErrorException(
            "pushImageToWorkspaceAcr: the workspace has no registry. Add container_registry with its address to config.json."
        )
    if docker or push:
        image.ensure_image(definition, registry=registry if push else None, resolve=resolve, write=_show, stopped=never)
    elif (definition.get("python") or {}).get("userManagedDependencies"):
        print(f"Environment {environment.name!r}: its python is managed by its user, so there is nothing to build.")
    else:
        builds.ensure(definition, write=_show, resolve=resolve)


def image_details(environment: Environment, workspace: Workspace) -> DockerImageDetails:
    """What is known of the image; nothing is built. See Environment.get_image_details."""
    _check_workspace(workspace)
    definition, resolve, registry = prepared(environment, workspace)
    found = image.describe(definition, registry=registry, resolve=resolve)
    ours = not (definition.get("python") or {}).get("userManagedDependencies")
    where = {"address": registry.name, "username": registry.username} if registry is not None else None
    return DockerImageDetails(
        imageExistsInRegistry=found.exists,
        dockerImage={"name": found.name.removeprefix(f"{registry.name}/") if registry else found.name, "registry": where},
        pythonEnvironment={
            "interpreterPath": image_search.python_of(definition),
            "condaEnvironmentPath": image_search.ENVIRONMENT if ours else None,
        },
        ingredients={"dockerfile": found.dockerfile},
    )


def add_private_pip_wheel(workspace: Workspace, file_path: str | os.PathLike[str], exist_ok: bool) -> str:
    """Keep a wheel in the default datastore; see Environment.add_private_pip_wheel."""
    _check_workspace(workspace)
    if not isinstance(file_path, (str, os.PathLike)) or not os.path.isfile(file_path):
        raise UserErrorException(f"file_path: {file_path!r} is not a file. Give the path of a wheel.")
    source = Path(os.path.abspath(file_path))
    if not _WHEEL.fullmatch(source.name):
        raise UserErrorException(f"file_path: {source.name!r} is not the name of a wheel, such as package-1.0-py3-none-any.whl.")
    store = workspace.get_default_datastore()
    if not hasattr(store, "root"):
        raise UserErrorException(
            f"file_path: wheels are kept in a folder, and the default datastore {store.name!r} is none. Call "
            "workspace.set_default_datastore('workspaceblobstore'), or put the wheel into a package index."
        )
    folder = Path(store.root) / WHEELS
    target = folder / content_of(source)[:16] / source.name
    there = sorted(folder.glob(f"*/{source.name}"))
    if there and not exist_ok:
        raise UserErrorException(f"file_path: {source.name} is in the workspace already. Give exist_ok=True, or the wheel another version.")
    if not target.exists():  # a wheel of the same name with other content is another one: who refers to the former keeps it
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.part")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    return target.as_uri()


def prepared(environment: Environment, workspace: Workspace, folder: str | None = None) -> tuple[dict[str, Any], Resolve, Registry | None]:
    """The definition without secrets, who gives their values, and the workspace's registry.

    A relative path among the packages is looked for in the current folder, then in ``folder``.

    Raises:
        UserErrorException: the definition cannot be right; there is no such block for the registry.
    """
    check_types(environment)
    definition, taken = credentials.taken_out(requirements.localized(environment._serialize_to_dict(), folder or os.getcwd()))
    requirements.check(definition)
    settings = workspace._container_registry()
    referred = set(credentials.referred(definition)) - set(taken)
    needs_server = bool(referred or (settings or {}).get("credentials"))
    client = workspace._prefect() if needs_server else None

    def resolve(name: str) -> str:
        return taken[name] if name in taken else credentials.from_prefect(workspace._prefect())(name)

    return definition, resolve, image.registry_of(settings, client)


def _show(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _check_workspace(workspace: Any) -> None:
    if not hasattr(workspace, "_prefect"):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")
