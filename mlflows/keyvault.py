"""Keyvault: the secrets of a workspace, kept as Prefect's own Secret blocks, encrypted by its server.

A secret ``Db-Password`` of workspace ``team`` is the block ``team-<8 hex of team>-db-password``. As in Azure, names are letters, digits
and hyphens, and case does not count; so a block's name gives the secret's back. An environment variable or a Prefect template refers to
it as ``{{ prefect.blocks.secret.<block> }}`` (``Keyvault.reference``).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.rest import RestClient, RestError, Unreachable

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_TYPE = "/block_types/slug/secret"
_PAGE = 200
_PAUSES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Seconds before each further try: a Prefect server on SQLite answers 503 while somebody else writes."""


class HasPrefect(Protocol):
    """What a key vault needs of its workspace."""

    @property
    def name(self) -> str:
        """The workspace's name."""

    def _prefect(self) -> RestClient:
        """Its Prefect server."""


class Keyvault:
    """The secrets of a workspace.

    Every method raises UserErrorException for a bad name or value, ServiceException when Prefect does not answer.
    """

    def __init__(self, workspace: HasPrefect) -> None:
        if not hasattr(workspace, "_prefect"):
            raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")
        self._workspace = workspace

    def set_secret(self, name: str, value: str, content_type: Any = None) -> None:
        """Store a secret; one of the same name is replaced."""
        block = self._block(name)
        if not isinstance(value, str):
            raise UserErrorException(f"value: the secret {name!r} must be a string, not a {type(value).__name__}.")
        found = self._find(block) or self._create(block, value)
        if found is not None:
            self._ask("PATCH", f"/block_documents/{found['id']}", {"data": {"value": value}, "merge_existing_data": False})

    def set_secrets(self, secrets_batch: Mapping[str, str]) -> None:
        """Store several."""
        if not isinstance(secrets_batch, Mapping):
            raise UserErrorException(f"secrets_batch: expected a dict of names and values, got a {type(secrets_batch).__name__}.")
        for name, value in secrets_batch.items():
            self.set_secret(name, value)

    def get_secret(self, name: str) -> str:
        """The value of a secret; a missing one is a UserErrorException that names those that exist."""
        found = self._find(self._block(name))
        if found is None:
            raise UserErrorException(
                f"There is no secret {name!r} in workspace {self._workspace.name!r}. There are: {', '.join(self._names()) or 'none'}."
            )
        return str(found["data"]["value"])

    def get_secrets(self, secrets: Iterable[str]) -> dict[str, str]:
        """The values of several."""
        if isinstance(secrets, str):
            raise UserErrorException(f"secrets: expected a list of names, got the string {secrets!r}.")
        return {name: self.get_secret(name) for name in secrets}

    def get_secret_content_type(self, name: str) -> str:
        """Empty: it is not kept."""
        self.get_secret(name)
        return ""

    def list_secrets(self) -> list[str]:
        """The names, in lower case."""
        return self._names()

    def delete_secret(self, name: str) -> None:
        """Remove a secret; one that is not there is no error."""
        found = self._find(self._block(name))
        if found is not None:
            with contextlib.suppress(_Missing):
                self._ask("DELETE", f"/block_documents/{found['id']}")

    def delete_secrets(self, secrets: Iterable[str]) -> None:
        """Remove several."""
        if isinstance(secrets, str):
            raise UserErrorException(f"secrets: expected a list of names, got the string {secrets!r}.")
        for name in secrets:
            self.delete_secret(name)

    def reference(self, name: str) -> str:
        """What stands for the secret in an environment variable of a run, so that its value is written nowhere."""
        return f"{{{{ prefect.blocks.secret.{self._block(name)} }}}}"

    def _block(self, name: str) -> str:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserErrorException(f"name: {name!r} is not the name of a secret. Use 1 to 127 letters, digits and hyphens.")
        return self._prefix() + name.lower()

    def _prefix(self) -> str:
        exact = self._workspace.name
        slug = re.sub(r"[^a-z0-9]+", "-", exact.lower()).strip("-")
        return f"{slug}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}-"

    def _create(self, block: str, value: str) -> dict[str, Any] | None:
        """Make the block; the one that somebody else has made meanwhile, if so."""
        kind = self._ask("GET", _TYPE)["id"]
        [schema, *_] = self._ask("POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind]}}, "limit": 1})
        body = {"name": block, "data": {"value": value}, "block_type_id": kind, "block_schema_id": schema["id"]}
        try:
            self._ask("POST", "/block_documents/", body)
        except ServiceException as error:
            if error.status_code != 409:
                raise
            return self._find(block)
        return None

    def _find(self, block: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._ask("GET", f"{_TYPE}/block_documents/name/{block}?include_secrets=true")
        except _Missing:
            return None
        return found

    def _names(self) -> list[str]:
        names: list[str] = []
        prefix = self._prefix()
        wanted = {"block_documents": {"name": {"like_": prefix}}, "block_types": {"slug": {"any_": ["secret"]}}, "limit": _PAGE}
        while True:
            page = self._ask("POST", "/block_documents/filter", {**wanted, "offset": len(names)})
            names += [document["name"].removeprefix(prefix) for document in page if document["name"].startswith(prefix)]
            if len(page) < _PAGE:
                return sorted(names)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        client = self._workspace._prefect()
        for pause in _PAUSES:
            try:
                return client.request(method, path, body)
            except RestError as error:
                if error.status == 404:
                    raise _Missing(f"The Prefect server has no {path}", 404) from error
                raise ServiceException(f"The Prefect server refused: {error}", error.status) from error
            except Unreachable as error:
                last = error
                time.sleep(pause)
        raise ServiceException(f"No answer from the Prefect server at {client.base_url} ({last}). `mlflows up` starts one.") from last


class _Missing(ServiceException):
    """404: removed meanwhile, or never there."""
