"""Registered environments: a name, and versions 1, 2, 3 ... of what stands behind it, each a block of a Prefect server (versions.py).

Standard library only, but where a server does not know the type of block yet.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlflows import blocks, versions
from mlflows.environments import credentials, curated
from mlflows.environments.element import nearest
from mlflows.environments.sections import DockerSection
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient
from mlflows.spec import looks_secret, refers_to_secret

logger = logging.getLogger(__name__)

KIND = "mlflows-environment"
"""Slug of the type of block."""
LATEST = "latest"
"""The label that the newest version always has."""

_MOST_REMEMBERED = 10_000
"""A process that runs flows lives for months."""
_OF_A_CONTAINER = ("enabled", "sharedVolumes", "arguments", "shmSize", "gpuSupport")
"""Docker settings of former times, which say how a run is started and not what it runs in."""
_UNSAID = ("name", "version", "assetId", "autoRebuild")

Document = versions.Document
Content = Callable[[Mapping[str, Any]], str]

_remembered: dict[tuple[str, str, str], str] = {}
"""(server, name, content) -> version, of this process."""


class EnvironmentNotFound(Exception):
    """There is no such environment, version or label. No AzureMLException: SDK v1 raises a plain one here."""

    def __init__(self, message: str) -> None:
        super().__init__(f"Error retrieving the environment definition. Code: 404\n: {message}")
        self.reason = message


def register(client: RestClient, definition: Mapping[str, Any], name: str, secrets: Mapping[str, str] = {}) -> str:
    """Register a definition under a name; its version. The newest version is kept where it has the same content.

    ``secrets`` are what credentials.taken_out has taken out of it: they are stored first, and only if the name is good.

    Raises:
        UserErrorException: the name is reserved for curated environments, or empty.
        ServiceException: the server refuses, or does not answer.
    """
    _check_name(name)
    credentials.store(client, secrets)
    content = _content(definition)

    def newest(versions: Mapping[int, Document]) -> int | None:
        last = max(versions, default=None)
        return last if last is not None and _content(versions[last]["data"]["definition"]) == content else None

    return _registered(client, definition, name, newest)


def remember(client: RestClient, name: str | None, definition: Mapping[str, Any]) -> str | None:
    """Register what a run runs in, once for a process; its version, None if it cannot be.

    Any version with the same content will do: what is submitted in turns does not make versions without end. Variables count as part of
    the run. A failure is logged as a warning: the run goes on.
    """
    if not name or not definition:
        return None
    content = _content_of_a_run(definition)
    if curated.is_reserved(name):
        return _curated_version(name, content)
    key = (client.base_url, name, hashlib.sha256(content.encode()).hexdigest())
    try:
        if key not in _remembered:
            if len(_remembered) > _MOST_REMEMBERED:
                _remembered.clear()
            _remembered[key] = _registered(client, _without_secret_variables(definition), name, _any_of(content))
        return _remembered[key]
    except Exception as error:  # whatever it is, the script can run
        logger.warning("Environment %r was not registered: %s", name, getattr(error, "message", error))
        return None


def get(client: RestClient | None, name: str, version: str | None = None, label: str | None = None) -> dict[str, Any]:
    """A definition with its name and version; the newest if neither version nor label is given. A curated one needs no ``client``.

    Raises:
        EnvironmentNotFound: there is none; the message says which there are.
        ServiceException: the server refuses, or does not answer.
    """
    if curated.is_reserved(name):
        return _get_curated(name, version, label)
    assert client is not None
    found = _KIND.of(client, name)
    if not found:
        raise EnvironmentNotFound(_unknown(client, name))
    if version is not None:
        number = versions.number(version)
        if number not in found:
            raise EnvironmentNotFound(
                f"Environment {name!r} has no version {version!r}. It has: {', '.join(map(str, found))}. The newest comes without one."
            )
    elif label in (None, LATEST):
        number = max(found)
    else:
        number = _labelled(found, name, str(label))
    return _definition(name, number, found[number])


def list(client: RestClient) -> dict[str, dict[str, Any]]:
    """Name -> newest definition of all registered environments.

    Raises:
        ServiceException: the server refuses, or does not answer.
    """
    return {name: _definition(name, *found) for name, found in _KIND.newest(client).items()}


def label(client: RestClient, name: str, version: str, labels: Iterable[str]) -> None:
    """Give a version labels; another version that has one of them loses it.

    Raises:
        EnvironmentNotFound: there is no such environment or version.
        UserErrorException: the environment is a curated one.
        ServiceException: the server refuses, or does not answer.
    """
    _check_name(name)
    chosen = get(client, name, version)["version"]
    wanted = dict.fromkeys(labels)
    for number, document in _KIND.of(client, name).items():
        had = document["data"].get("labels") or []
        rest = [each for each in had if each not in wanted]
        has = [*rest, *wanted] if str(number) == chosen else rest
        if sorted(has) != sorted(had):
            blocks.change(client, document, {"labels": has})


def is_curated(name: str) -> bool:
    """Whether a name is one of those that only curated environments have: no server is asked about it."""
    return curated.is_reserved(name)


def block_name(name: str, version: int | str) -> str:
    """Name of the block document of a version."""
    return _KIND.block_name(name, version)


def _registered(client: RestClient, definition: Mapping[str, Any], name: str, same: Callable[[Mapping[int, Document]], int | None]) -> str:
    """The version that ``same`` finds among those there are, or the next one, made."""
    definition, _ = credentials.taken_out(definition)  # whoever calls: no secret gets into a block that shows it

    def data(version: int) -> Document:
        own = {**definition, "name": name, "version": str(version)}
        return {"environment_name": name, "environment_version": str(version), "definition": own, "labels": []}

    return str(_KIND.add(client, name, data, same).number)


def _make_known(prefect_api_url: str) -> None:
    from mlflows.environments import block  # imports Prefect: a second, once for a server

    blocks.teach(prefect_api_url, block.MlflowsEnvironment)


_KIND = versions.Kind(KIND, "environment", "environment_name", _make_known)


def _definition(name: str, number: int, document: Document) -> dict[str, Any]:
    return {**document["data"]["definition"], "name": name, "version": str(number)}


def _labelled(versions: Mapping[int, Document], name: str, label: str) -> int:
    labels = {each: number for number, document in versions.items() for each in document["data"].get("labels") or []}
    if label not in labels:
        raise EnvironmentNotFound(f"Environment {name!r} has no label {label!r}. It has: {', '.join(sorted({LATEST, *labels}))}.")
    return labels[label]


def _unknown(client: RestClient, name: str) -> str:
    names = builtins.list(list(client))
    curated_ones = ", ".join(curated.names())
    return f"There is no environment {name!r}. Registered: {', '.join(names) or 'none'}. Curated: {curated_ones}.{nearest(name, names)}"


def _get_curated(name: str, version: str | None, label: str | None) -> dict[str, Any]:
    definition = curated.definition(name, version) if label in (None, LATEST) else None
    if definition is not None:
        return definition
    there_are = f"There are: {', '.join(curated.names())}, and older names of these, such as AzureML-sklearn-0.24-ubuntu18.04-py37-cpu."
    if curated.today(name):
        raise EnvironmentNotFound(f"The curated environment {name!r} has no label {label!r}. Leave label out.")
    raise EnvironmentNotFound(f"There is no curated environment {name!r}. {there_are}{nearest(name, curated.names())}")


def _curated_version(name: str, content: str) -> str | None:
    if curated.today(name) is not None:
        with_this_name = curated.definition(name)
        if with_this_name is not None and _content_of_a_run(with_this_name) == content:
            return curated.VERSION
    logger.warning("Environment %r is not registered: names that begin with %s are curated environments'.", name, curated.RESERVED)
    return None


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise UserErrorException(f"name: {name!r} is not the name of an environment. Give a string, such as 'training'.")
    if curated.is_reserved(name):
        raise UserErrorException(
            f"name: {name!r} begins with {curated.RESERVED!r}, which only curated environments do. Register it under another name, for "
            "instance with environment.clone('my-environment').register(workspace)."
        )


def _any_of(content: str) -> Callable[[Mapping[int, Document]], int | None]:
    def same(versions: Mapping[int, Document]) -> int | None:
        found = (
            number for number in sorted(versions, reverse=True) if _content_of_a_run(versions[number]["data"]["definition"]) == content
        )
        return next(found, None)

    return same


def _content(definition: Mapping[str, Any]) -> str:
    """What is compared: all but the name, the version, and what says no more than a default."""
    definition, _ = credentials.taken_out(definition)
    usual = DockerSection()._serialize_to_dict()
    docker = definition.get("docker") or {}
    docker = {key: value for key, value in docker.items() if key not in _OF_A_CONTAINER or value != usual.get(key)}
    kept = {key: value for key, value in definition.items() if key not in _UNSAID and value not in (None, {})}
    return json.dumps({**kept, "docker": docker}, sort_keys=True, default=str)


def _content_of_a_run(definition: Mapping[str, Any]) -> str:
    """As _content, without what a run has in another place: variables, and how its container is started."""
    docker = {key: value for key, value in (definition.get("docker") or {}).items() if key not in _OF_A_CONTAINER}
    return _content({**definition, "docker": docker, "environmentVariables": {}})


def _without_secret_variables(definition: Mapping[str, Any]) -> dict[str, Any]:
    variables = definition.get("environmentVariables") or {}
    shown = {name: value for name, value in variables.items() if not looks_secret(name) or refers_to_secret(str(value))}
    return {**definition, "environmentVariables": shown}
