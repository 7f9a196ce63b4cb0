"""Small files that others read while they are written: replaced as a whole, never seen half done."""

import errno
import json
import os
import time

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def write_json(path, value):
    # type: (str, object) -> None
    """Replace ``path``; a reader sees the old or the new content."""
    temporary = "{}.{}.tmp".format(path, os.getpid())
    with open(temporary, "w") as handle:
        json.dump(value, handle)
    os.rename(temporary, path)


def read_json(path):
    # type: (str) -> Any
    """Content of a JSON file, or None if it is not there or not JSON."""
    try:
        with open(path, "rb") as handle:
            return json.loads(handle.read().decode("utf-8"))
    except (OSError, ValueError):
        return None


class ReservedFile:
    """A file whose disk space is taken before it is needed, so that it can be written on a full disk.

    ``path`` appears only with ``write_json``, by a rename.
    """

    def __init__(self, path, size=65536):
        # type: (str, int) -> None
        self.path = path
        self._temporary = path + ".tmp"
        self._descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(self._descriptor, b" " * size)
        except OSError:
            pass  # the disk is full already: write_json tries again

    def write_json(self, value, patience=60.0):
        # type: (object, float) -> None
        """Write, sync and rename; while the disk is full, try again for ``patience`` seconds.

        Raises:
            OSError: it was full all the time, or another fault.
        """
        content = json.dumps(value).encode("utf-8")
        end = time.monotonic() + patience
        while True:
            try:
                self._replace(content)
                return
            except OSError as error:
                if error.errno not in NO_SPACE or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    def _replace(self, content):
        # type: (bytes) -> None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        written = 0
        while written < len(content):
            written += os.write(self._descriptor, content[written:])
        os.ftruncate(self._descriptor, len(content))
        os.fsync(self._descriptor)
        os.rename(self._temporary, self.path)
