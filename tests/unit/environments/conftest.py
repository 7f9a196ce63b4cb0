"""Environments that are really built, in a store of each test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlflows.environments import builds
from mlflows.environments.builds import Built

PYTHON = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments, empty."""
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home with space"))
    return builds.store()


def definition_of(*pip: str, python: str = PYTHON, conda: Sequence[str] = (), channels: Sequence[str] = ()) -> dict[str, Any]:
    dependencies = [f"python={python}", *conda, {"pip": [*pip]}]
    return {"name": "x", "python": {"condaDependencies": {"channels": [*channels], "dependencies": dependencies}}}


class Environment:
    """An environment and what its build has said."""

    def __init__(self, built: Built, output: str) -> None:
        self.built = built
        self.output = output

    def run(self, code: str, *flags: str, **variables: str) -> str:
        """What its python prints for this code."""
        command = [str(self.built.interpreter), *flags, "-c", code]
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", **variables}, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def build(store: Path) -> Callable[..., Environment]:
    """Build a definition of these lines for pip."""

    def make(*pip: str, resolve: Any = None, **more: Any) -> Environment:
        said: list[str] = []
        built = builds.ensure(definition_of(*pip, **more), write=said.append, resolve=resolve)
        return Environment(built, "".join(said))

    return make
