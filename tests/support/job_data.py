"""Scripts inside a job that use data: a job folder, whoever answers its mailbox, and interpreters of any version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflows
from mlflows.history.mailbox import Mailbox
from mlflows.job import layout

PACKAGE = Path(mlflows.__file__).parent
PATIENCE = 0.01


class Nothing:
    """A history that answers nothing."""

    def answer(self, operation: str, arguments: dict[str, Any], run_id: str | None) -> Any:
        raise LookupError(operation)


class AnsweredJob:
    """A job folder whose mailbox is answered, and scripts in it. They know no server and no home but their folder."""

    def __init__(self, folder: Path, workspace: str, answers: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
        self.folder = folder
        self.workspace = workspace
        for name in (layout.CODE, layout.MAILBOX, layout.EVENTS, layout.LIB):
            (folder / name).mkdir(parents=True)
        (folder / layout.LIB / "mlflows").symlink_to(PACKAGE)
        (folder / layout.LIB / "azureml").symlink_to(PACKAGE / "azureml_path" / "azureml")
        self._ended = threading.Event()
        self._mailbox = Mailbox(folder / layout.MAILBOX, Nothing(), answers)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended.wait(PATIENCE):
            self._mailbox.serve()

    def close(self) -> None:
        """Nobody answers any more."""
        self._ended.set()
        self._thread.join()

    def run(self, script: str, *arguments: str, python: str = sys.executable, **variables: str) -> str:
        """What a script prints; its errors are the test's."""
        (self.folder / layout.CODE / "train.py").write_text(script)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "nobody"),
            "PYTHONPATH": str(self.folder / layout.LIB),
            "MLFLOWS_HOME": str(self.folder / "nowhere"),
            layout.FOLDER_VARIABLE: str(self.folder),
            "MLFLOWS_MAILBOX_TIMEOUT_SECONDS": "30",
            "AZUREML_RUN_ID": "exp_1_abc",
            "MLFLOWS_EXPERIMENT": "exp",
            "AZUREML_ARM_WORKSPACE_NAME": self.workspace,
            "AZUREML_ARM_SUBSCRIPTION": "s",
            "AZUREML_ARM_RESOURCEGROUP": "g",
            **variables,
        }
        done = subprocess.run(
            [python, "train.py", *arguments], cwd=self.folder / layout.CODE, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def said(self, script: str, *arguments: str, python: str = sys.executable, **variables: str) -> Any:
        """The JSON of its last line."""
        return json.loads(self.run(script, *arguments, python=python, **variables).splitlines()[-1])
