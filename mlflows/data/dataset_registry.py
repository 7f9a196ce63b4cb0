"""Registered datasets: a name in a workspace, and versions 1, 2, 3 ..., each a block of a Prefect server (versions.py).

Standard library only, but where a server does not know the type of block yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from uuid import UUID

from mlflows import blocks, versions
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

KIND = "mlflows-dataset"
"""Slug of the type of block."""
LATEST = "latest"

_MOST_CHARACTERS = 255
_MOST_NAMED = 20


@dataclass(frozen=True)
class Registration:
    """One version of a registered dataset. Inside a job, ``name`` and ``version`` of an input that is not registered are None."""

    name: str
    version: int
    id: str
    definition: Mapping[str, Any] = field(repr=False)
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """The registered datasets of a workspace; what the functions below do."""

    client: RestClient
    workspace: str

    def register(
        self, name: str, definition: Mapping[str, Any], description: str | None, tags: Mapping[str, str], create_new_version: bool
    ) -> Registration:
        """See register."""
        return register(self.client, self.workspace, name, definition, description, tags, create_new_version)

    def by_name(self, name: str, version: int | str) -> Registration:
        """See by_name."""
        return by_name(self.client, self.workspace, name, version)

    def by_id(self, id: str) -> Registration:
        """See by_id."""
        return by_id(self.client, self.workspace, id)

    def newest(self) -> dict[str, Registration]:
        """See newest_of."""
        return newest_of(self.client, self.workspace)

    def change(self, id: str, description: str | None, tags: Mapping[str, str] | None) -> None:
        """See change."""
        change(self.client, id, description, tags)

    def unregister(self, name: str) -> None:
        """See unregister."""
        unregister(self.client, self.workspace, name)


def register(
    client: RestClient,
    workspace: str,
    name: str,
    definition: Mapping[str, Any],
    description: str | None = None,
    tags: Mapping[str, str] = {},
    create_new_version: bool = False,
) -> Registration:
    """Keep a definition under a name. The newest version stays if it has the same; its description and tags become those given.

    Raises:
        UserErrorException: the newest version has another definition, and no new one is to be made.
        ServiceException: the server refuses, or does not answer.
    """
    check_name(name)

    def newest(there: Mapping[int, versions.Document]) -> int | None:
        last = max(there, default=None)
        if last is None or there[last]["data"]["definition"] == definition:
            return last
        if not create_new_version:
            raise UserErrorException(
                f"name: {name!r} is registered already, as version {last}, with another definition. Give create_new_version=True for "
                f"version {last + 1}, or another name."
            )
        return None

    def data(version: int) -> dict[str, Any]:
        return {
            "dataset_name": name,
            "dataset_version": str(version),
            "workspace": workspace,
            "definition": dict(definition),
            "description": description,
            "tags": dict(tags),
        }

    added = _KIND.add(client, name, data, newest, scope=workspace)
    if not added.new and (description is not None or tags):
        change(client, added.id, description, tags or None)
    return by_id(client, workspace, added.id)


def by_name(client: RestClient, workspace: str, name: str, version: int | str = LATEST) -> Registration:
    """One version, or the newest.

    Raises:
        UserErrorException: there is none; the message says which there are.
        ServiceException: the server refuses, or does not answer.
    """
    check_name(name)
    wanted = _number(version)
    there = _KIND.of(client, name, scope=workspace)
    if not there:
        names = list(newest_of(client, workspace))
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        raise UserErrorException(
            f"There is no dataset {name!r} in workspace {workspace!r}. There are: {', '.join(names[:_MOST_NAMED]) or 'none'}{more}."
        )
    if wanted and wanted not in there:
        raise UserErrorException(f"Dataset {name!r} has no version {version!r}. It has: {', '.join(map(str, there))}.")
    return _registration(there[wanted or max(there)])


def by_id(client: RestClient, workspace: str, id: str) -> Registration:
    """The version of an id.

    Raises:
        UserErrorException: there is none in this workspace.
        ServiceException: the server refuses, or does not answer.
    """
    try:
        document = blocks.ask(client, "GET", f"/block_documents/{UUID(id)}")
    except (ValueError, AttributeError, TypeError):
        raise UserErrorException(f"id: {id!r} is not the id of a dataset. A registered dataset has one: dataset.id.") from None
    except blocks.Missing:
        _no_such_id(id, workspace)
    if (document.get("block_type") or {}).get("slug") != KIND or document["data"].get("workspace") != workspace:
        _no_such_id(id, workspace)
    return _registration(document)


def newest_of(client: RestClient, workspace: str) -> dict[str, Registration]:
    """Name -> newest version of all datasets of a workspace.

    Raises:
        ServiceException: the server refuses, or does not answer.
    """
    found = _KIND.newest(client, lambda document: document["data"].get("workspace") == workspace)
    return {name: _registration(document) for name, (_, document) in found.items()}


def change(client: RestClient, id: str, description: str | None, tags: Mapping[str, str] | None) -> None:
    """Give a version another description and other tags; what is None stays.

    Raises:
        ServiceException: it was removed meanwhile; the server refuses, or does not answer.
    """
    data = {"description": description, "tags": None if tags is None else dict(tags)}
    blocks.change(client, {"id": id, "name": "dataset"}, {key: value for key, value in data.items() if value is not None})


def unregister(client: RestClient, workspace: str, name: str) -> None:
    """Remove all versions of a name; files stay where they are.

    Raises:
        ServiceException: the server refuses, or does not answer.
    """
    for document in _KIND.of(client, name, scope=workspace).values():
        with contextlib.suppress(blocks.Missing):
            blocks.ask(client, "DELETE", f"/block_documents/{document['id']}")


def block_name(workspace: str, name: str, version: int | str) -> str:
    """Name of the block document of a version."""
    return _KIND.block_name(name, version, scope=workspace)


def check_name(name: Any) -> None:
    """Raises UserErrorException for what is not the name of a dataset."""
    if not isinstance(name, str) or name != name.strip() or not 0 < len(name) <= _MOST_CHARACTERS or not name.isprintable():
        raise UserErrorException(
            f"name: {name!r} is not the name of a dataset. Give 1 to {_MOST_CHARACTERS} characters that can be printed, none of them a "
            "space at the beginning or end."
        )


def _number(version: Any) -> int:
    """0 for the newest."""
    if version is None or version == LATEST:
        return 0
    number = versions.number(str(version)) if isinstance(version, (int, str)) and not isinstance(version, bool) else 0
    if not number:
        raise UserErrorException(f"version: {version!r} is neither a whole number from 1 nor {LATEST!r}.")
    return number


def _registration(document: versions.Document) -> Registration:
    data = document["data"]
    tags = data.get("tags") or {}
    return Registration(
        data["dataset_name"], int(data["dataset_version"]), str(document["id"]), data["definition"], data.get("description"), tags
    )


def _no_such_id(id: str, workspace: str) -> NoReturn:
    raise UserErrorException(f"There is no dataset with the id {id!r} in workspace {workspace!r}. workspace.datasets has those there are.")


def _make_known(prefect_api_url: str) -> None:
    from mlflows.data import dataset_block  # imports Prefect: a second, once for a server

    blocks.teach(prefect_api_url, dataset_block.MlflowsDataset)


_KIND = versions.Kind(KIND, "dataset", "dataset_name", _make_known)
