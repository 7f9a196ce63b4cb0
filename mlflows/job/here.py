"""The job this process belongs to: its folder, its run id, its events file, its mailbox."""

import os

from mlflows.job import layout, mailbox
from mlflows.job.spool import Spool, process_rank

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

_CURRENT = {}  # type: dict[str, Here]


def inside():
    # type: () -> bool
    """Whether this process is in a job."""
    return bool(os.environ.get(layout.FOLDER_VARIABLE))


def current():
    # type: () -> Here
    """The job of this process.

    Raises:
        RunEnvironmentException: it is in none.
    """
    folder = os.environ.get(layout.FOLDER_VARIABLE)
    if not folder:
        from mlflows.exceptions import RunEnvironmentException

        raise RunEnvironmentException()
    if folder not in _CURRENT:
        _CURRENT[folder] = Here(folder)
    return _CURRENT[folder]


class Here:
    """One job, seen from inside."""

    def __init__(self, folder):
        # type: (str) -> None
        self.folder = folder
        self.run_id = os.environ.get("AZUREML_RUN_ID") or os.path.basename(folder)
        self.spool = Spool(folder, process_rank())

    def ask(self, op, run_id=None, timeout=None, **args):
        # type: (str, str | None, float | None, Any) -> Any
        """See mailbox.ask."""
        return mailbox.ask(self.folder, run_id or self.run_id, op, args, timeout)

    def ask_patiently(self, op, **args):
        # type: (str, Any) -> Any
        """The same, of what may take long."""
        return mailbox.ask(self.folder, self.run_id, op, args, patient=True)
