"""``torchx run -s local_cwd``: the built-in component that runs a Python script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import TRIVIAL
from benchmarks.timing import Command

NAME = "torchx run"
PACKAGE = "torchx"
REQUIREMENTS = ["torchx"]


@contextmanager
def prepared(scratch: Path, python: Path) -> Iterator[Command]:
    """A folder with the script; no server."""
    (scratch / "trivial.py").write_text(TRIVIAL)
    environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}
    yield Command([str(python.parent / "torchx"), "run", "-s", "local_cwd", "utils.python", "--script", "trivial.py"], scratch, environment)
