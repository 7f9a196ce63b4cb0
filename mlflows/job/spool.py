"""Events of the script-side Run: one JSON line per call, in the kernel's hands when the call returns.

One ``os.write`` to an O_APPEND descriptor: lines of threads and forked processes do not mix, and a SIGKILL afterwards loses nothing.
"""

import errno
import json
import os
import sys

from mlflows.job import layout

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

_RANK_VARIABLES = ("MLFLOWS_RANK", "RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "HOROVOD_RANK")
ALL_RANKS_VARIABLE = "MLFLOWS_LOG_ALL_RANKS"


def process_rank():
    # type: () -> int
    """Rank of this process in its job: the highest that any launcher gave it.

    The highest, because a launcher inside the job (torchrun as the command) numbers its processes within the one rank the job gave it.
    """
    values = [os.environ.get(name, "") for name in _RANK_VARIABLES]
    return max([0] + [int(value) for value in values if value.isdigit()])


class Spool:
    """The events file of this process's rank.

    Ranks other than 0 are silent unless MLFLOWS_LOG_ALL_RANKS is 1: every rank of a training script calls ``run.log``,
    and the run should have one curve, not eight.
    """

    def __init__(self, folder, rank):
        # type: (str, int) -> None
        self.silent = rank != 0 and os.environ.get(ALL_RANKS_VARIABLE) != "1"
        self._path = os.path.join(folder, layout.EVENTS, layout.events_file(rank))
        self._descriptor = -1
        self._torn = False
        self._complained = False

    def event(self, event, even_if_silent=False):
        # type: (dict[str, Any], bool) -> None
        """Append ``event``; NaN and infinities as Python's json writes them."""
        if not self.silent or even_if_silent:
            self.line((json.dumps(event, default=str) + "\n").encode("ascii"))

    def line(self, line):
        # type: (bytes) -> None
        """Append one line. A disk that cannot take it must not stop the training: it is said once, and the line is lost."""
        if self._torn:
            line = b"\n" + line
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            written = self._after_opening(line) if error.errno == errno.EBADF else 0
        self._torn = 0 < written < len(line)
        if written < len(line):
            self._complain()

    def _after_opening(self, line):
        # type: (bytes) -> int
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            return os.write(self._descriptor, line)
        except OSError:
            return 0

    def _complain(self):
        # type: () -> None
        if not self._complained:
            self._complained = True
            sys.stderr.write("mlflows: {} cannot be written; what the script logs from here on may be lost\n".format(self._path))
