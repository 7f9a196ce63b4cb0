"""What a script may ask of its workspace through the mailbox, beyond what the history answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflows import settings
from mlflows.data import workspace_file
from mlflows.keyvault import Keyvault
from mlflows.rest import RestClient
from mlflows.settings import Servers
from mlflows.spec import JobSpec

Answers = dict[str, Callable[[dict[str, Any]], Any]]


def answers(job: JobSpec, servers: Servers) -> Answers:
    """By operation of the mailbox: ``workspace``, ``get_secret``, ``get_secrets``."""
    vault = Keyvault(_Workspace(job.workspace, servers))
    return {
        "workspace": lambda _: {"name": job.workspace, **identity(job.workspace)},
        "get_secret": lambda arguments: vault.get_secret(arguments["name"]),
        "get_secrets": lambda arguments: vault.get_secrets(arguments["names"]),
    }


def identity(workspace: str) -> dict[str, str]:
    """Subscription, resource group and location of a workspace; ``local`` where it has none."""
    record = workspace_file.read(workspace)
    return {name: str(record.get(name) or "local") for name in ("subscription_id", "resource_group", "location")}


class _Workspace:
    """As much of a workspace as its key vault needs."""

    def __init__(self, name: str, servers: Servers) -> None:
        self.name = name
        self._servers = servers

    def _prefect(self) -> RestClient:
        return RestClient(self._servers.prefect_api_url, settings.prefect_headers())
