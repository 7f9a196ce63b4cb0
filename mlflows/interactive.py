"""The run of ``Experiment.start_logging``: its code is the process that started it."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflows.exceptions import UserErrorException
from mlflows.history import runs
from mlflows.history import tags as names
from mlflows.history.run import Run
from mlflows.history.status import TERMINAL, RunStatus

if TYPE_CHECKING:
    from _typeshed import StrPath

OUTPUTS = "outputs"
"""Folder whose files are uploaded when the run ends, and where they are among its files."""


class InteractiveRun(Run):
    """Ends with ``complete()``, ``fail()`` or its ``with`` block; else with the process, so that it does not stay Running."""

    def __init__(self, experiment: Any, run_id: str, outputs: str | None = None, **kwargs: Any) -> None:
        super().__init__(experiment, run_id, **kwargs)
        self._outputs = os.path.abspath(outputs) if outputs else None
        self._open = True
        atexit.register(_end, weakref.ref(self))

    def complete(self, _set_status: bool = True) -> None:
        """Upload the outputs; the run is Completed."""
        self._upload_outputs()
        super().complete(_set_status)

    def fail(self, error_details: Any = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """Upload the outputs; the run is Failed, with a message or an exception."""
        self._upload_outputs()
        super().fail(error_details, error_code, _set_status)

    def _upload_outputs(self) -> None:
        """Files that are among the run's by then, as upload_file has put them there, stay."""
        self._open = False
        if self._outputs is None or not os.path.isdir(self._outputs):
            return
        artifacts = self._artifacts()
        there = set(self.get_file_names())
        for parent, _, files in os.walk(self._outputs):
            for file in sorted(files):
                path = os.path.join(parent, file)
                name = f"{OUTPUTS}/{os.path.relpath(path, self._outputs)}"
                if name not in there and os.path.isfile(path):
                    artifacts.upload(Path(path), name)


def start(experiment: Any, run_id: str, name: str | None, outputs: StrPath | bool | None, snapshot: str | None) -> InteractiveRun:
    """Make the run, Running, and the folder of its outputs: scripts write into ``./outputs`` without making it.

    Raises:
        UserErrorException: there is a run of this id; ``outputs`` is neither a path nor False.
    """
    folder = OUTPUTS if outputs in (None, True) else outputs
    if not isinstance(folder, (str, os.PathLike)) and folder is not False:
        raise UserErrorException(f"outputs: expected the path of a folder, got {outputs!r}.")
    if folder:
        os.makedirs(folder, exist_ok=True)
    tags = {
        names.WORKSPACE: experiment.workspace.name,
        names.TYPE: runs.INTERACTIVE_RUN,
        names.TARGET: "local",
        names.SOURCE_NAME: sys.argv[0],
        names.SOURCE_TYPE: "LOCAL",
        **({names.SNAPSHOT_ID: snapshot} if snapshot else {}),
    }
    tracking = experiment.workspace._tracking()
    ref = runs.create(tracking, experiment.name, run_id, name, tags, run_status=RunStatus.RUNNING)
    return InteractiveRun(experiment, run_id, os.fspath(folder) if folder else None, _ref=ref)


def _end(reference: weakref.ref[InteractiveRun]) -> None:
    """At the end of the process: Failed if it ends by an exception."""
    run = reference()
    if run is None or not run._open or run.get_status() in TERMINAL:
        return
    error = getattr(sys, "last_value", None)
    run.complete() if error is None else run.fail(error)
