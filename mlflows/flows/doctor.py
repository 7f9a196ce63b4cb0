"""Finds runs and processes of this machine that nobody owns, and gives them an owner or an end. Standard library only."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlflows import settings
from mlflows.compute.processes import job_processes
from mlflows.exceptions import AzureMLException
from mlflows.flows import driving, handoff
from mlflows.history import closing, runs
from mlflows.history.closing import Outcome
from mlflows.history.tracking import Tracking
from mlflows.job import layout
from mlflows.settings import Servers

HANDED_OVER_SECONDS = 120.0
"""A submitted run that no flow has taken after this long lost its submitter."""
TERM_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    ``cure`` is ``adopt`` (a flow takes the run up again and closes it), ``close`` (nobody can: it ends as Failed) or ``kill``
    (processes that outlived their run).
    """

    run_id: str
    problem: str
    cure: str
    pids: tuple[int, ...] = ()


def examine() -> list[Finding]:
    """Look at all job folders of this machine; changes nothing."""
    if not settings.runs_dir().is_dir():
        return []
    alive = job_processes()
    return [finding for folder in sorted(settings.runs_dir().iterdir()) for finding in _look(folder, alive.get(str(folder), []))]


def cure(finding: Finding, servers: Servers) -> str:
    """Do what the finding says.

    Returns:
        What was done, as a sentence; also when it failed, so that one bad run does not keep the others from being cured.
    """
    folder = settings.job_folder(finding.run_id)
    try:
        if finding.cure == "kill":
            return _kill(finding.pids)
        if finding.cure == "adopt":
            return _adopt(finding.run_id, folder, servers)
        return _close(folder, servers)
    except (AzureMLException, OSError) as error:
        return f"not cured: {getattr(error, 'message', error)}"


def _look(folder: Path, pids: list[int]) -> Iterator[Finding]:
    if (folder / layout.CLOSED_FILE).exists():
        if pids:
            yield Finding(folder.name, f"{len(pids)} processes outlived the run", "kill", tuple(pids))
        return
    if driving.is_driven(folder):
        return
    if driving.flow_of(folder) is not None:
        state = "its job still runs" if pids else "its job has ended"
        yield Finding(folder.name, f"no flow drives it any more; {state}", "adopt", tuple(pids))
    elif runs.remembered(folder) is not None and _age(folder) > HANDED_OVER_SECONDS:
        yield Finding(folder.name, "it was submitted, but no flow ever took it", "close")


def _age(folder: Path) -> float:
    return time.time() - (folder / runs.REF_FILE).stat().st_mtime


def _adopt(run_id: str, folder: Path, servers: Servers) -> str:
    known = driving.flow_of(folder)
    assert known is not None
    flow_run_id, spec = known
    return f"adopted by flow run {handoff.adopt(spec, run_id, flow_run_id, servers)}"


def _close(folder: Path, servers: Servers) -> str:
    ref = runs.remembered(folder)
    assert ref is not None
    message = "The run was submitted, but no flow ever took it: the submitting process or the services went away"
    closing.close(Tracking(servers.mlflow_tracking_uri), ref, Outcome("Failed", {"code": "SystemError", "message": message}))
    (folder / layout.CLOSED_FILE).write_text("{}")
    return "closed as Failed"


def _kill(pids: tuple[int, ...]) -> str:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + TERM_SECONDS
        while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.05)
    return f"ended {len(pids)} processes"
