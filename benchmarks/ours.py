"""Our own side: services of their own in a scratch folder, and the submitting program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import TRIVIAL
from benchmarks.timing import Command

NAME = "mlflows"

SUBMIT = """\
from mlflows import Experiment, ScriptRunConfig, Workspace

workspace = Workspace.from_config()
run = Experiment(workspace, "bench").submit(ScriptRunConfig("code", "trivial.py"))
details = run.wait_for_completion(show_output=True)
assert details["status"] == "Completed", details
"""


@contextmanager
def services(scratch: Path) -> Iterator[dict[str, str]]:
    """The local services, up, in a folder of their own; yields the variables that lead to them."""
    environment = {"MLFLOWS_HOME": str(scratch / "home")}
    mlflows("up", environment=environment)
    try:
        yield environment
    finally:
        mlflows("down", environment=environment)


@contextmanager
def prepared(scratch: Path) -> Iterator[Command]:
    """What the peers' modules yield, for this package: whole submitting process, services warm."""
    (scratch / "code").mkdir()
    (scratch / "code" / "trivial.py").write_text(TRIVIAL)
    (scratch / "submit.py").write_text(SUBMIT)
    with services(scratch) as environment:
        yield Command([sys.executable, "submit.py"], scratch, environment)


def mlflows(*arguments: str, environment: dict[str, str]) -> None:
    """Run our own command line; its output is shown only when it fails."""
    argv = [sys.executable, "-m", "mlflows.cli", *arguments]
    done = subprocess.run(argv, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"mlflows {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
