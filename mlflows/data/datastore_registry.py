"""Registered datastores: for each a block of a Prefect server, named after the workspace and the datastore.

Standard library only, but where a server does not know the type of block yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflows import blocks
from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.rest import RestClient

S3, FOLDER, URL, ALIAS = "mlflows-s3-datastore", "mlflows-folder-datastore", "mlflows-url-datastore", "mlflows-datastore-alias"
"""Slugs of the types of block."""
KINDS = (S3, FOLDER, URL, ALIAS)

_TRIES = 20

Document = dict[str, Any]


def register(client: RestClient, workspace: str, name: str, kind: str, data: Mapping[str, Any], overwrite: bool) -> None:
    """Make a datastore known under a name; nothing happens if it is, with the same values.

    Raises:
        UserErrorException: there is another of this name, and ``overwrite`` is not given.
        ServiceException: the server refuses, or does not answer.
    """
    own = {"workspace_name": workspace, "datastore_name": name, **data}
    for _ in range(_TRIES):
        there = get(client, workspace, name)
        if there is not None and kind_of(there) == kind and _same(there, own):
            return
        if there is not None and not overwrite:
            raise UserErrorException(
                f"datastore_name: workspace {workspace!r} has a datastore {name!r} already, with other settings. Give overwrite=True to "
                "replace it, or another name."
            )
        if there is not None:
            blocks.remove(client, there)
        try:
            ids = blocks.type_of(client, kind, lambda: _make_known(client, kind))
            blocks.create(client, ids, block_name(workspace, name), own)
            return
        except blocks.Taken:  # somebody else registers it, too
            continue
    raise ServiceException(f"Datastore {name!r} was not registered: in {_TRIES} attempts somebody else was always quicker. Try again.")


def get(client: RestClient, workspace: str, name: str) -> Document | None:
    """The block document of a datastore, secrets included; None if there is none."""
    wanted = block_name(workspace, name)
    found = (document for document in blocks.of_kinds(client, KINDS, wanted) if document["name"] == wanted)
    return next((document for document in found if document["data"].get("datastore_name") == name), None)


def all_of(client: RestClient, workspace: str) -> dict[str, Document]:
    """Name -> block document of all registered datastores of a workspace, secrets included."""
    found = blocks.of_kinds(client, KINDS, _prefix(workspace))
    mine = (document for document in found if document["data"].get("workspace_name") == workspace)
    return {document["data"]["datastore_name"]: document for document in mine}


def unregister(client: RestClient, workspace: str, name: str) -> None:
    """Forget a datastore; its files stay. Nothing happens if there is none."""
    there = get(client, workspace, name)
    if there is not None:
        blocks.remove(client, there)


def kind_of(document: Document) -> str:
    """Slug of a document's type."""
    return str(document["block_type"]["slug"])


def block_name(workspace: str, name: str) -> str:
    """Name of the block document of a datastore."""
    return f"{_prefix(workspace)}{blocks.slug(name, 40) or 'datastore'}-{blocks.name_hash(name)}"


def _prefix(workspace: str) -> str:
    return f"{blocks.slug(workspace) or 'workspace'}-{blocks.name_hash(workspace)}-"


def _same(document: Document, data: Mapping[str, Any]) -> bool:
    kept = {key: value for key, value in document["data"].items() if value is not None}
    return kept == {key: value for key, value in data.items() if value is not None}


def _make_known(client: RestClient, kind: str) -> None:
    from mlflows.data import datastore_block  # imports Prefect: a second, once for a server

    blocks.teach(client.base_url, datastore_block.BLOCKS[kind])
