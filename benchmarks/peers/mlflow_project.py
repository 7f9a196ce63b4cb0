"""``mlflow run --env-manager local``: an MLproject, its run recorded in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import TRIVIAL
from benchmarks.timing import Command

NAME = "mlflow run"
PACKAGE = "mlflow"
REQUIREMENTS = ["mlflow>=3.4,<4"]


@contextmanager
def prepared(scratch: Path, python: Path) -> Iterator[Command]:
    """A project of one entry point; no server."""
    (scratch / "trivial.py").write_text(TRIVIAL)
    (scratch / "MLproject").write_text('name: trivial\nentry_points:\n  main:\n    command: "python trivial.py"\n')
    environment = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "MLFLOW_TRACKING_URI": f"sqlite:///{scratch / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    yield Command([str(python.parent / "mlflow"), "run", "--env-manager", "local", "."], scratch, environment)
