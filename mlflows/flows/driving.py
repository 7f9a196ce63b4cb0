"""Who drives a run: the flow holds a lock in the job folder for as long as it is at work. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflows import settings

LOCK_FILE = "flow.lock"
FLOW_FILE = "flow.json"
"""In a job folder: id of the flow run, and the JobSpec it was given."""


@contextlib.contextmanager
def driven(folder: Path, flow_run_id: str, spec: dict[str, Any]) -> Iterator[None]:
    """Say in the job folder which flow run drives it, and that it does so now. A doubled flow drives beside the first."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / (FLOW_FILE + ".tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps({"flow_run_id": flow_run_id, "spec": spec}))
    temporary.replace(folder / FLOW_FILE)
    with (folder / LOCK_FILE).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield


def folder_of(flow_run_id: str) -> Path | None:
    """The job folder of a flow run, newest first; None if there is none on this machine."""
    if not settings.runs_dir().is_dir():
        return None
    for folder in sorted(settings.runs_dir().iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        known = flow_of(folder)
        if known is not None and known[0] == flow_run_id:
            return folder
    return None


def is_driven(folder: Path) -> bool:
    """Whether a live flow is at work on the folder."""
    try:
        with (folder / LOCK_FILE).open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def flow_of(folder: Path) -> tuple[str, dict[str, Any]] | None:
    """The flow run's id and the JobSpec of a job folder; None if no flow ever drove it."""
    try:
        value = json.loads((folder / FLOW_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value["flow_run_id"], value["spec"]
