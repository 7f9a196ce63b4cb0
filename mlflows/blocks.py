"""Block documents of a Prefect server, over plain HTTP.

A document's name is unique among those of its type: making one that is there fails, which decides between people who try at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlflows.exceptions import ServiceException
from mlflows.rest import RestClient, RestError, Unreachable

SECRET = "secret"
"""Slug of the type of Prefect's own Secret blocks."""

_PAGE = 200
_PAUSES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
"""Seconds before each further try, more or less: a Prefect server on SQLite answers 503 while somebody else writes."""


class Missing(ServiceException):
    """404: removed meanwhile, or never there."""


class Taken(ServiceException):
    """409: somebody has made it already."""


def ask(client: RestClient, method: str, path: str, body: Any = None) -> Any:
    """The JSON answer of a Prefect server, tried again while it is busy.

    Raises:
        Missing, Taken: it says 404 or 409.
        ServiceException: it refuses, or does not answer.
    """
    for pause in _PAUSES:
        try:
            return client.request(method, path, body)
        except RestError as error:
            kind = {404: Missing, 409: Taken}.get(error.status, ServiceException)
            raise kind(f"The Prefect server refused: {error}", error.status) from error
        except Unreachable as error:
            last = error
            time.sleep(pause * (0.5 + os.urandom(1)[0] / 256))  # who was refused together must not come back together
    raise ServiceException(f"No answer from the Prefect server at {client.base_url} ({last}). `mlflows up` starts one.") from last


def slug(name: str, most: int = 60) -> str:
    """A readable beginning for a block's name: lower-case letters, digits and hyphens, ``most`` of them at most."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:most].strip("-")


def name_hash(exact: str) -> str:
    """8 hex that tell exact names of the same slug apart."""
    return hashlib.sha256(exact.encode()).hexdigest()[:8]


def find(client: RestClient, kind: str, name: str) -> dict[str, Any] | None:
    """The document of this type and name, secrets included; None if there is none."""
    try:
        found: dict[str, Any] = ask(client, "GET", f"/block_types/slug/{kind}/block_documents/name/{name}?include_secrets=true")
    except Missing:
        return None
    return found


def beginning(client: RestClient, kind: str, prefix: str) -> list[dict[str, Any]]:
    """The documents of a type whose names begin with ``prefix``, by name, secrets obfuscated. None if the type is not known."""
    wanted = {"block_documents": {"name": {"like_": prefix}}, "block_types": {"slug": {"any_": [kind]}}, "limit": _PAGE}
    found: list[dict[str, Any]] = []
    while True:
        page = ask(client, "POST", "/block_documents/filter", {**wanted, "offset": len(found)})
        found += page
        if len(page) < _PAGE:
            return [document for document in found if document["name"].startswith(prefix)]


def of_kinds(client: RestClient, kinds: Sequence[str], prefix: str) -> list[dict[str, Any]]:
    """The documents of several types whose names begin with ``prefix``, secrets included; ``["block_type"]["slug"]`` is its type."""
    wanted = {"block_documents": {"name": {"like_": prefix}}, "block_types": {"slug": {"any_": [*kinds]}}, "limit": _PAGE}
    found: list[dict[str, Any]] = []
    while True:
        page = ask(client, "POST", "/block_documents/filter", {**wanted, "offset": len(found), "include_secrets": True})
        found += page
        if len(page) < _PAGE:
            return [document for document in found if document["name"].startswith(prefix)]


def remove(client: RestClient, document: Mapping[str, Any]) -> None:
    """Remove a document; nothing happens if it is gone."""
    with contextlib.suppress(Missing):
        ask(client, "DELETE", f"/block_documents/{document['id']}")


def teach(prefect_api_url: str, block: Any) -> None:
    """Make a class of blocks known to a Prefect server; nothing happens where it is. Credentials are those of Prefect's settings."""
    from prefect.exceptions import ObjectAlreadyExists  # a second, once for a server
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_api_url}):
        try:
            block.register_type_and_schema(_sync=True)
        except ObjectAlreadyExists:  # somebody else did at the same time
            block.register_type_and_schema(_sync=True)


def type_of(client: RestClient, kind: str, make_known: Callable[[], None] | None = None) -> dict[str, str]:
    """The ids of a type and of its newest schema, as create needs them; ``make_known`` tells a server the type that does not know it.

    Raises:
        Missing: the server does not know the type.
    """
    try:
        known = ask(client, "GET", f"/block_types/slug/{kind}")["id"]
        wanted = {"block_schemas": {"block_type_id": {"any_": [known]}}, "limit": 1}
        schemas = ask(client, "POST", "/block_schemas/filter", wanted)
        if schemas:
            return {"block_type_id": known, "block_schema_id": schemas[0]["id"]}
    except Missing:
        if make_known is None:
            raise
    if make_known is None:
        raise Missing(f"The Prefect server at {client.base_url} has no schema for blocks of type {kind!r}.", 404)
    make_known()
    return type_of(client, kind)


def create(client: RestClient, ids: Mapping[str, str], name: str, data: Mapping[str, Any]) -> str:
    """Make a document of a type that type_of has found; its id.

    Raises:
        Taken: there is one of this type and name.
        ServiceException: the server refuses. The message has nothing of ``data``, which the server would repeat.
    """
    return str(_write(client, "POST", "/block_documents/", name, {"name": name, "data": dict(data), **ids})["id"])


def change(client: RestClient, document: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Replace some values of a document; the others stay.

    Raises:
        Missing: it was removed meanwhile.
        ServiceException: as in create.
    """
    body = {"data": dict(data), "merge_existing_data": True}
    _write(client, "PATCH", f"/block_documents/{document['id']}", str(document.get("name")), body)


def store_secret(client: RestClient, name: str, value: str) -> None:
    """Store a value in Prefect's Secret block ``name``, made if it is not there.

    Raises:
        ServiceException: the server refuses; the message has nothing of the value.
    """
    found = find(client, SECRET, name)
    if found is None:
        try:
            create(client, type_of(client, SECRET), name, {"value": value})
            return
        except Taken:  # somebody has made it meanwhile
            found = find(client, SECRET, name)
    if found is not None and found["data"].get("value") != value:
        change(client, found, {"value": value})


def secret_reference(name: str) -> str:
    """What stands for the value of Prefect's Secret block ``name``."""
    return f"{{{{ prefect.blocks.secret.{name} }}}}"


def _write(client: RestClient, method: str, path: str, name: str, body: Mapping[str, Any]) -> Any:
    try:
        return ask(client, method, path, body)
    except ServiceException as error:
        if error.status_code is None:
            raise
        # a refusal may repeat the request, and with it a secret
        raise type(error)(f"The Prefect server answered {error.status_code} for the block {name!r}.", error.status_code) from None
