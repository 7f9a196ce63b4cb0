"""What a script may ask of its workspace through the mailbox, beyond what the history answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflows.data import workspace_file
from mlflows.flows.context import RunWorkspace
from mlflows.flows.data_answers import OPERATIONS, DataAnswers
from mlflows.keyvault import Keyvault
from mlflows.settings import Servers
from mlflows.spec import JobSpec

Answers = dict[str, Callable[[dict[str, Any]], Any]]


def answers(job: JobSpec, servers: Servers, folder: Path) -> Answers:
    """By operation of the mailbox: ``workspace``, ``get_secret``, ``get_secrets``, and those of data.

    Args:
        job: what runs.
        servers: the workspace's.
        folder: the job folder.
    """
    workspace = RunWorkspace(job.workspace, servers)
    vault, data = Keyvault(workspace), DataAnswers(job, workspace, folder)
    return {
        "workspace": lambda _: {"name": job.workspace, **identity(job.workspace)},
        "get_secret": lambda arguments: vault.get_secret(arguments["name"]),
        "get_secrets": lambda arguments: vault.get_secrets(arguments["names"]),
        **{name: getattr(data, name) for name in OPERATIONS},
    }


def identity(workspace: str) -> dict[str, str]:
    """Subscription, resource group and location of a workspace; ``local`` where it has none."""
    record = workspace_file.read(workspace)
    return {name: str(record.get(name) or "local") for name in ("subscription_id", "resource_group", "location")}
