"""submitit's ``LocalExecutor``: a command as a job; its log is followed while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers import TRIVIAL
from benchmarks.timing import Command

NAME = "submitit"
PACKAGE = "submitit"
REQUIREMENTS = ["submitit"]

SUBMIT = """\
import sys
import threading
import time

import submitit
from submitit.helpers import CommandFunction


def show_log(job):
    seen = 0
    while True:
        text = job.stdout() or ""
        print(text[seen:], end="", flush=True)
        seen = len(text)
        time.sleep(0.01)


executor = submitit.LocalExecutor(folder="jobs")
job = executor.submit(CommandFunction([sys.executable, "trivial.py"]))
threading.Thread(target=show_log, args=[job], daemon=True).start()
job.result()
"""


@contextmanager
def prepared(scratch: Path, python: Path) -> Iterator[Command]:
    """A submitting program; no server."""
    (scratch / "trivial.py").write_text(TRIVIAL)
    (scratch / "submit.py").write_text(SUBMIT)
    yield Command([str(python), "submit.py"], scratch)
