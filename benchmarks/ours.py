"""Our own side: services of their own in a scratch folder, and the submitting program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def tracking_uri(environment: Mapping[str, str]) -> str:
    """Address of the MLflow server of the services of ``environment``."""
    return str(_record(environment)["mlflow"]["url"])


def service_pids(environment: Mapping[str, str]) -> list[int]:
    """Process ids of the services of ``environment``, with those of their children that live."""
    pids = [entry["pid"] for entry in _record(environment).values()]
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            pids += [int(child) for child in path.read_text().split()]
    return pids


def overloaded(environment: Mapping[str, str]) -> int:
    """How often the Prefect server has answered 503 to the runner of ``environment``."""
    return (Path(environment["MLFLOWS_HOME"]) / "services" / "runner.log").read_text().count("answered 503")


def _record(environment: Mapping[str, str]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((Path(environment["MLFLOWS_HOME"]) / "services" / "services.json").read_text())
    return record


def last_line(arguments: Sequence[str], scratch: Path, environment: Mapping[str, str]) -> str:
    """The last line that our interpreter prints with these arguments."""
    return _python(arguments, scratch, environment).splitlines()[-1]


def mlflows(*arguments: str, environment: Mapping[str, str]) -> None:
    """Run our own command line."""
    _python(["-m", "mlflows", *arguments], Path.cwd(), environment)


def _python(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> str:
    argv = [sys.executable, *arguments]
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
