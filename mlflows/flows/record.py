"""The record of the local services: which this package started, and whether they live. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflows import settings
from mlflows.compute.processes import start_ticks

Announce = Callable[[str], None]

TITLES = {"prefect": "Prefect server", "mlflow": "MLflow server", "runner": "runner"}

CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this very process: they must be reaped to be seen dead."""


def own_folder() -> Path:
    """The folder of the runner's socket and of locks on ports, which only this user can enter.

    Raises:
        PermissionError: somebody else owns it.
    """
    folder = settings.runner_socket().parent
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must belong to uid {os.getuid()} with mode 0700; remove it")
    return folder


def alive(entry: Mapping[str, Any]) -> bool:
    child = CHILDREN.get(entry["pid"])
    if child is not None and child.poll() is not None:
        return False
    return start_ticks(entry["pid"]) == entry["ticks"] and entry["ticks"] is not None


def log_path(name: str) -> Path:
    return settings.services_dir() / f"{name}.log"


def record_path() -> Path:
    return settings.services_dir() / "services.json"


def write(record: Mapping[str, Any]) -> None:
    temporary = record_path().with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1))
    temporary.replace(record_path())


@contextlib.contextmanager
def locked(announce: Announce | None = None) -> Iterator[None]:
    folder = settings.services_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if announce:
                announce("Another process is starting the local services; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
