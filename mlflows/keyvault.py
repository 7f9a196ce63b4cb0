"""Keyvault: the secrets of a workspace, kept as Prefect's own Secret blocks, encrypted by its server.

A secret ``Db-Password`` of workspace ``team`` is the block ``team-<8 hex of team>-db-password``. As in Azure, names are letters, digits
and hyphens, and case does not count; so a block's name gives the secret's back. An environment variable or a Prefect template refers to
it as ``{{ prefect.blocks.secret.<block> }}`` (``Keyvault.reference``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from mlflows import blocks
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


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
        blocks.store_secret(self._workspace._prefect(), block, value)

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
            blocks.remove(self._workspace._prefect(), found)

    def delete_secrets(self, secrets: Iterable[str]) -> None:
        """Remove several."""
        if isinstance(secrets, str):
            raise UserErrorException(f"secrets: expected a list of names, got the string {secrets!r}.")
        for name in secrets:
            self.delete_secret(name)

    def reference(self, name: str) -> str:
        """What stands for the secret in an environment variable of a run, so that its value is written nowhere."""
        return blocks.secret_reference(self._block(name))

    def _block(self, name: str) -> str:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserErrorException(f"name: {name!r} is not the name of a secret. Use 1 to 127 letters, digits and hyphens.")
        return self._prefix() + name.lower()

    def _prefix(self) -> str:
        exact = self._workspace.name
        return f"{blocks.slug(exact)}-{blocks.name_hash(exact)}-"

    def _find(self, block: str) -> dict[str, Any] | None:
        return blocks.find(self._workspace._prefect(), blocks.SECRET, block)

    def _names(self) -> list[str]:
        prefix = self._prefix()
        found = blocks.beginning(self._workspace._prefect(), blocks.SECRET, prefix)
        return sorted(document["name"].removeprefix(prefix) for document in found)
