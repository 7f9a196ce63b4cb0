"""A read-only folder with the files of a dataset, there for as long as it is wanted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from mlflows.data import view
from mlflows.exceptions import UserErrorException


class MountContext:
    """``dataset.mount()``: a folder with the dataset's files, between ``start`` and ``stop`` or inside a ``with`` statement.

    What was fetched cannot be written to, so that no script changes the data it reads; files of a folder are links to them.
    """

    def __init__(self, fill: Callable[[str], Any], mount_point: str | None) -> None:
        self._fill = fill
        self._given = mount_point
        self._folder: str | None = None
        self._made = False
        self._filled = False
        self._mode = stat.S_IRWXU

    @property
    def mount_point(self) -> str:
        """The folder; it has the files once it is started."""
        if self._folder is None:
            if self._given is None:
                import tempfile  # slow to import

                self._folder = tempfile.mkdtemp(prefix="mlflows-mount-")
                self._made = True
            else:
                self._folder = os.path.abspath(self._given)
        return self._folder

    def start(self) -> None:
        """Put the files there.

        Raises:
            UserErrorException: the folder is not empty; a file cannot be had.
        """
        folder = self.mount_point
        if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
            raise UserErrorException(f"mount_point: {folder} is there and not an empty folder. Stop what is mounted, or give another one.")
        self._made = self._made or not os.path.isdir(folder)
        os.makedirs(folder, exist_ok=True)
        self._mode = stat.S_IMODE(os.stat(folder).st_mode)
        self._filled = True  # from here on what is in it is ours
        try:
            self._fill(folder)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Remove the folder, or what is in it where the folder was there before."""
        folder, self._folder = self._folder, None
        filled, self._filled = self._filled, False
        if folder is None or not os.path.isdir(folder):
            return
        if filled:
            view.remove(folder, keep=True)
            os.chmod(folder, self._mode)
        if self._made:
            os.rmdir(folder)

    def __enter__(self) -> MountContext:
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stop()
