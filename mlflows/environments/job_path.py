"""The line by which every python that mlflows makes finds SDK v1's names inside a job, whatever the script does to PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

from mlflows.job.layout import FOLDER_VARIABLE, LIB

PTH_NAME = "mlflows_job.pth"
_LIBRARY = f"os.path.join(os.environ.get({FOLDER_VARIABLE!r}, ''), {LIB!r})"
PTH_LINE = f"import os, sys; {FOLDER_VARIABLE!r} in os.environ and {_LIBRARY} not in sys.path and sys.path.insert(0, {_LIBRARY})"
"""Python runs a line of a ``.pth`` file that begins with ``import`` whenever it starts, also with ``-I`` and ``-E``; from 3.6 on."""


def install(site_packages: Path) -> None:
    """Put the line into a folder of packages."""
    (site_packages / PTH_NAME).write_text(PTH_LINE + "\n")
