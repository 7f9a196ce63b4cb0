"""A folder of this machine, or of a volume that is shared with others."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from mlflows.data import partial
from mlflows.data.store import Item, Tick, changed, disk_error, local_path, stays_inside
from mlflows.exceptions import UserErrorException

COPIERS = 8
"""Threads that copy; more do not help one disk."""
_AT_ONCE = 64 << 20


class LocalStore:
    """Files below a folder. It is made when something is put into it."""

    parallel = COPIERS

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)

    @property
    def place(self) -> str:
        """The folder."""
        return f"the folder {self._root}"

    def items(self, prefix: str) -> Iterator[Item]:
        """A walk. Links to files are followed; pipes and devices are no files: they would be read for ever."""
        start = os.path.join(self._root, os.path.dirname(prefix))
        for parent, folders, files in os.walk(start):
            inner = os.path.relpath(parent, self._root)
            base = "" if inner == "." else inner + "/"
            folders[:] = sorted(name for name in folders if f"{base}{name}/".startswith(prefix) or prefix.startswith(f"{base}{name}/"))
            for name in sorted(files):
                if (base + name).startswith(prefix) and not partial.is_partial(name):
                    item = self.item(base + name)
                    if item is not None:
                        yield item

    def item(self, path: str) -> Item | None:
        """One look."""
        full = os.path.join(self._root, path)
        with contextlib.suppress(OSError, ValueError):
            if os.path.isfile(full):
                return _item(path, os.stat(full))
        return None

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """By the kernel, where it can."""
        source = local_path(self._root, item.path)
        try:
            self._copy(source, target, item, tick)
        except FileNotFoundError:
            raise changed(item, self.place) from None
        except OSError as error:
            raise disk_error(error, target) from error

    def put(self, source: str, path: str, tick: Tick) -> None:
        """Under another name first."""
        target = local_path(self._root, path)
        folder = os.path.dirname(target)
        if not stays_inside(self._root, folder):
            raise UserErrorException(f"{path!r} would be written through a link that leads out of {self.place}. Remove the link.")
        try:
            os.makedirs(folder, exist_ok=True)
            self._copy(source, target, _item(path, os.stat(source)), tick)
        except OSError as error:
            raise disk_error(error, target) from error

    def _copy(self, source: str, target: str, item: Item, tick: Tick) -> None:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with partial.writing(target) as output:
                at = 0
                while at < item.size and (sent := _send(output, descriptor, at, min(_AT_ONCE, item.size - at))):
                    at += sent
                    tick(sent)
                if at != item.size or _item(item.path, os.fstat(descriptor)) != item:
                    raise changed(item, self.place)
        finally:
            os.close(descriptor)


def _send(output: int, source: int, at: int, size: int) -> int:
    with contextlib.suppress(OSError, AttributeError):  # not on every file system and kernel
        return os.copy_file_range(source, output, size, at)
    return os.sendfile(output, source, at, size)


def _item(path: str, found: os.stat_result) -> Item:
    return Item(path, found.st_size, f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}")
