"""workspace.json: what this machine knows of a workspace. Secrets are not in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from typing import Any

from mlflows import settings
from mlflows.exceptions import WorkspaceException

FORMAT = 1


def exists(name: str) -> bool:
    """Whether this machine knows the workspace."""
    return os.path.exists(_path(name))


def names() -> list[str]:
    """The workspaces this machine knows."""
    folder = settings.home() / "workspaces"
    return sorted(path.name for path in folder.iterdir() if exists(path.name)) if folder.is_dir() else []


def read(name: str) -> dict[str, Any]:
    """The record of a workspace; empty if there is none.

    Raises:
        WorkspaceException: the file is damaged.
    """
    path = _path(name)
    try:
        with open(path, encoding="utf-8") as handle:
            record = json.load(handle)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WorkspaceException(f"{path} is not valid JSON ({error}). Repair it, or remove it to start over.") from error
    if not isinstance(record, dict):
        raise WorkspaceException(f"{path} does not hold a JSON object. Remove it to start over.")
    return record


@contextlib.contextmanager
def changing(name: str) -> Iterator[dict[str, Any]]:
    """The record, to be changed in place: written when the block ends without an error, and nobody else changes it meanwhile."""
    folder = settings.workspace_dir(name)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "workspace.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = read(name)
        yield record
        temporary = _path(name) + ".tmp"
        with open(temporary, "w", encoding="utf-8", opener=_private) as handle:
            json.dump({"format": FORMAT, **record}, handle, indent=1)
        os.replace(temporary, _path(name))


def remove(name: str) -> None:
    """Forget a workspace; its data stay."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(name))


def _path(name: str) -> str:
    return os.path.join(settings.workspace_dir(name), "workspace.json")


def _private(path: str, flags: int) -> int:
    """An address of a server may hold a password."""
    return os.open(path, flags, 0o600)
