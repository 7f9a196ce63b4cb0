"""Images of environments: found again in milliseconds, in the engine or the registry, and built once where they are not.

An image is ``mlflows/env:<digest of the environment>``, with the address of the workspace's registry before it if there is one. Whoever
has the digest has the image: nothing else decides whether one is built.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflows import blocks
from mlflows.environments import credentials, requirements
from mlflows.environments.engine import Engine, EngineError
from mlflows.environments.image_registry import Registry
from mlflows.environments.image_search import REPOSITORY, BuiltImage, Search
from mlflows.environments.work import Resolve, Stopped, Write, never, silent
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

if TYPE_CHECKING:  # image_making and what it needs is imported for what is not known yet: 30 ms that a known image does not pay
    from mlflows.environments.dockerfile import Recipe

__all__ = ["REPOSITORY", "BuiltImage", "Description", "describe", "ensure_image", "is_here", "registry_of", "render"]

CREDENTIALS_KIND = "docker-registry-credentials"
"""Slug of prefect-docker's block with a registry's user name and password."""


@dataclass(frozen=True)
class Description:
    """What an image is called, whether it is there, and the Dockerfile it is built by, if it is."""

    name: str
    exists: bool
    dockerfile: str | None


def ensure_image(
    definition: Mapping[str, Any],
    *,
    registry: Registry | None = None,
    resolve: Resolve | None = None,
    write: Write = silent,
    stopped: Stopped = never,
) -> BuiltImage:
    """The image of an environment: the one that is there, in the engine or in the registry, else a new one.

    Args:
        definition: in the form of azureml_environment.json.
        registry: where images are found again and pushed to.
        resolve: gives the value of a Secret block that the definition refers to.
        write: gets the output, line by line, secrets masked.
        stopped: asked ten times a second; True ends the build.

    Raises:
        UserErrorException: the definition cannot be right.
        EngineError: no engine, or it does not run.
        EnvironmentBuildError: what failed, why, and where the log is.
        AuthenticationException: the registry refuses the user name and password.
        ServiceException: the registry does not answer.
        BuildStopped: ``stopped`` said so.
    """
    definition, resolve = _without_secrets(definition, resolve)
    engine = Engine.find()

    def search() -> Search:
        return Search(engine, definition, registry, resolve)

    first = search()
    found = first.in_engine()
    if found is not None:
        return found
    from mlflows.environments import image_making

    return image_making.make(first, search, write, stopped)


def describe(definition: Mapping[str, Any], *, registry: Registry | None = None, resolve: Resolve | None = None) -> Description:
    """What ``ensure_image`` would give; nothing is built or downloaded. Without an engine only the registry is asked.

    Raises:
        UserErrorException: the definition cannot be right.
        AuthenticationException, ServiceException: the registry refuses, or does not answer.
    """
    definition, resolve = _without_secrets(definition, resolve)
    try:
        engine: Engine | None = Engine.find()
        search = Search(engine, definition, registry, resolve)
    except EngineError:
        search = Search(None, definition, registry, resolve)
    exists = search.in_engine() is not None or search.in_registry()
    return Description(search.name, exists, None if search.as_it_is else _recipe(search).dockerfile)


def render(definition: Mapping[str, Any]) -> Recipe | None:
    """The build context of an environment, as it would be built here; None if its image is used as it is.

    Raises:
        UserErrorException: the definition cannot be right.
    """
    definition, resolve = _without_secrets(definition, None)
    try:
        search = Search(Engine.find(), definition, None, resolve)
    except EngineError:
        search = Search(None, definition, None, resolve)
    return None if search.as_it_is else _recipe(search)


def is_here(definition: Mapping[str, Any], engine: Engine, registry: Registry | None = None) -> bool:
    """Whether the engine has the image, as far as it knows itself: no registry is asked.

    Raises:
        UserErrorException: the definition cannot be right.
        EngineError: the engine does not answer.
    """
    definition, resolve = _without_secrets(definition, None)
    return Search(engine, definition, registry, resolve, ask_base=False).in_engine() is not None


def registry_of(settings: Mapping[str, Any] | None, client: RestClient | None) -> Registry | None:
    """The registry that a workspace's ``container_registry`` names: ``{"address": ..., "credentials": <name of a block>}``.

    Raises:
        UserErrorException: no address, or there is no such block.
    """
    if not settings:
        return None
    address, block = settings.get("address"), settings.get("credentials")
    if not isinstance(address, str) or not address:
        raise UserErrorException("container_registry: the address is missing. Write {'address': 'host:port/path'}.")
    if not block:
        return Registry(address)
    found = blocks.find(client, CREDENTIALS_KIND, str(block)) if client is not None else None
    if found is None:
        raise UserErrorException(
            f"container_registry.credentials: there is no DockerRegistryCredentials block {block!r}. Save one: "
            f"DockerRegistryCredentials(username=..., password=..., registry_url=...).save({block!r}), from prefect_docker."
        )
    return Registry(address, str(found["data"].get("username") or ""), str(found["data"].get("password") or "") or None)


def _recipe(search: Search) -> Recipe:
    from mlflows.environments import image_making

    return image_making.Making(search).recipe()


def _without_secrets(definition: Mapping[str, Any], resolve: Resolve | None) -> tuple[dict[str, Any], Resolve]:
    """The definition with absolute paths and with references only, and who gives their values.

    Raises:
        UserErrorException: the definition cannot be right.
    """
    requirements.check_form(definition)
    referring, taken = credentials.taken_out(requirements.localized(definition, os.getcwd()))
    requirements.check(referring)

    def value(name: str) -> str:
        if name in taken:
            return taken[name]
        if resolve is None:
            raise UserErrorException(f"There is nobody to ask for the Secret block {name!r} that the environment refers to.")
        return resolve(name)

    return referring, value
