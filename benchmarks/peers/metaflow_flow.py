"""A Metaflow flow of one step that is the script itself, with the local datastore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.timing import Command

NAME = "Metaflow"
PACKAGE = "metaflow"
REQUIREMENTS = ["metaflow>=2.19"]

FLOW = """\
from metaflow import FlowSpec, step


class Trivial(FlowSpec):
    @step(start=True, end=True)
    def start(self):
        print("first line")


if __name__ == "__main__":
    Trivial()
"""


@contextmanager
def prepared(scratch: Path, python: Path) -> Iterator[Command]:
    """A flow in a file; no server."""
    (scratch / "flow.py").write_text(FLOW)
    environment = {
        "METAFLOW_HOME": str(scratch / "home"),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(scratch),
        "METAFLOW_USER": "bench",
    }
    yield Command([str(python), "flow.py", "--no-pylint", "run"], scratch, environment)
