"""config.json: which workspace a project belongs to. Looked for as SDK v1 does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from _typeshed import StrPath

FOLDERS = (".azureml", "aml_config", "")
"""Searched one after another, each in the folder and all above it: one of a grandparent's first kind beats the folder's own last."""

FILES = ("config.json", "project.json")
OWN_KEYS = ("prefect_api_url", "mlflow_tracking_uri")
_KEYS = ("workspace_name", "Scope", *OWN_KEYS)
_SCOPE = re.compile(r"/subscriptions/([^/]+)/resource[gG]roups/([^/]+)/.*/workspaces/([^/]+)")


def find(path: StrPath | None, file_name: str | None = None) -> str | None:
    """The file that ``path`` means; None if it is not given and there is no file.

    Raises:
        UserErrorException: ``path`` does not exist, or there is no file in it or above.
    """
    if path is None:
        return _search(os.getcwd(), file_name)
    if not isinstance(path, (str, os.PathLike)) or not os.path.exists(path):
        raise UserErrorException(f"path: {path!r} does not exist. Give a config.json, or a folder in or below which there is one.")
    if os.path.isfile(path):
        return os.fspath(path)
    found = _search(os.path.abspath(path), file_name)
    if found is None:
        names = " or ".join(f".azureml/{name}" for name in ((file_name,) if file_name else FILES))
        raise UserErrorException(
            f"path: there is no {names} in {os.path.abspath(path)} or above it. Write one with Workspace.write_config(), or call "
            "Workspace.from_config() without a path, which falls back to a workspace on this machine."
        )
    return found


def read(path: str) -> dict[str, Any]:
    """The file's content, with Azure's three keys also where it has the older form with ``Scope``.

    Raises:
        UserErrorException: not a JSON object, a key that is missing, a value that is no string.
    """
    content = _json_object(path)
    scope = _SCOPE.match(str(content.get("Scope", "")))
    if scope:
        content = {**dict(zip(("subscription_id", "resource_group", "workspace_name"), scope.groups(), strict=True)), **content}
    if not any(content.get(key) for key in ("workspace_name", *OWN_KEYS)):
        raise UserErrorException(f"{path}: workspace_name is missing. Add it, with the name of the workspace.")
    for key in ("subscription_id", "resource_group", "workspace_name", *OWN_KEYS):
        if not isinstance(content.get(key, ""), str):
            raise UserErrorException(f"{path}: {key} must be a string, not {content[key]!r}.")
    _check_registry(path, content.get("container_registry"))
    _check_azure_storage(path, content.get("azure_storage"))
    return content


def write(path: StrPath | None, file_name: str | None, content: Mapping[str, Any]) -> None:
    """Write ``<path>/.azureml/<file_name>``.

    Raises:
        UserErrorException: ``path`` is not a folder; ``file_name`` is not a mere name.
    """
    folder = os.getcwd() if path is None else path
    if not isinstance(folder, (str, os.PathLike)) or not os.path.isdir(folder):
        raise UserErrorException(f"path: {path!r} is not a folder. Give the folder of the project.")
    name = file_name or FILES[0]
    if not isinstance(name, str) or os.path.basename(name) != name:
        raise UserErrorException(f"file_name: {file_name!r} is not the name of a file.")
    target = os.path.join(folder, FOLDERS[0])
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(target, name), "w", encoding="utf-8") as handle:
        json.dump(content, handle, indent=4)


def _check_registry(path: str, registry: Any) -> None:
    if registry is None:
        return
    form = 'Write {"address": "host:port/path", "credentials": "<name of a DockerRegistryCredentials block>"}; credentials may be left out.'
    if not isinstance(registry, dict) or not all(isinstance(value, str) for value in registry.values()) or not registry.get("address"):
        raise UserErrorException(f"{path}: container_registry is not the description of a registry. {form}")
    unknown = sorted(set(registry) - {"address", "credentials"})
    if unknown:  # a password among them would be in a file that people share
        raise UserErrorException(f"{path}: container_registry has unknown keys: {', '.join(unknown)}. {form}")


def _check_azure_storage(path: str, storage: Any) -> None:
    if storage is None:
        return
    if not isinstance(storage, dict) or not all(isinstance(name, str) and name for name in storage.values()):
        raise UserErrorException(
            f"{path}: azure_storage does not say which datastore is in the place of which container. Write "
            '{"<account>/<container>": "<datastore>"}.'
        )


def _search(start: str, file_name: str | None) -> str | None:
    names = (file_name,) if file_name else FILES
    for kind in FOLDERS:
        for folder in _upwards(start):
            for name in names:
                path = os.path.join(folder, kind, name)
                if os.path.isfile(path) and (kind or _is_workspace_config(path)):
                    return path
    return None


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _is_workspace_config(path: str) -> bool:
    """A config.json of something else lies about in many a project."""
    try:
        return any(key in _json_object(path) for key in _KEYS)
    except (UserErrorException, OSError):
        return False


def _json_object(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8-sig") as handle:
            content = json.load(handle)
    except ValueError as error:
        raise UserErrorException(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise UserErrorException(f"{path} does not hold a JSON object with workspace_name, subscription_id and resource_group.")
    return content
