"""A folder of this machine, or of a volume that is shared with others."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from datetime import datetime, timezone

from mlflows.data import partial
from mlflows.data.store import Item, Tick, changed, checked_path, disk_error, gone, local_path, readable_size, stays_inside
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

    @property
    def folder(self) -> str:
        """The folder itself."""
        return self._root

    def items(self, prefix: str) -> Iterator[Item]:
        """A walk. A link is the file that it leads to, if that is in this folder; pipes and devices are no files: they would be read
        for ever.
        """
        start = os.path.dirname(prefix)
        real = os.path.realpath(self._root)
        if not stays_inside(real, os.path.join(self._root, start)):
            return
        folders = [f"{start}/" if start else ""]
        while folders:
            base, inner = folders.pop(), list[str]()
            for entry in _listed(os.path.join(self._root, base)):
                path = base + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if f"{path}/".startswith(prefix) or prefix.startswith(f"{path}/"):
                        inner.append(f"{path}/")
                elif path.startswith(prefix) and not partial.is_partial(entry.name):
                    with contextlib.suppress(OSError):  # a link that leads nowhere, or gone meanwhile
                        found = entry.stat()
                        if stat.S_ISREG(found.st_mode) and (not entry.is_symlink() or stays_inside(real, entry.path)):
                            yield _item(path, found)
            folders.extend(reversed(inner))

    def item(self, path: str) -> Item | None:
        """One look."""
        full = os.path.join(self._root, path)
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(full)
            if stat.S_ISREG(found.st_mode) and stays_inside(self._root, full):
                return _item(path, found)
        return None

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """By the kernel, where it can."""
        source = local_path(self._root, item.path)
        if not stays_inside(self._root, source):
            raise gone(item, self.place)
        try:
            self._copy(source, target, item, tick)
        except FileNotFoundError:
            raise gone(item, self.place) from None
        except OSError as error:
            raise disk_error(error, target) from error

    def put(self, source: str, path: str, tick: Tick) -> None:
        """Under another name first."""
        target = local_path(self._root, path)
        readable_size(source)
        self.below(path.rpartition("/")[0], make=True)
        try:
            self._copy(source, target, _item(path, os.stat(source)), tick)
        except OSError as error:
            raise disk_error(error, target) from error

    def below(self, path: str, make: bool = False) -> str:
        """Where a folder of this store is on this machine; ``make``: if it is not there, it is made.

        Raises:
            UserErrorException: the path leads out, or through a link that does; a file is there, or where a folder on the way to it would
                be; it cannot be made.
        """
        inner = checked_path("path", path, self.place)
        folder = local_path(self._root, inner) if inner else self._root
        if not stays_inside(self._root, folder):
            raise UserErrorException(f"path: {path!r} leads through a link out of {self.place}. Remove the link, or give another path.")
        try:
            if make:
                os.makedirs(folder, exist_ok=True)
            if os.path.lexists(folder) and not os.path.isdir(folder):
                raise FileExistsError
            os.stat(folder)
        except FileNotFoundError:
            pass  # and is not wanted
        except (FileExistsError, NotADirectoryError):
            raise UserErrorException(
                f"path: {path!r} in {self.place} is or leads through a file, and a folder is needed. Remove it, or give another path."
            ) from None
        except OSError as error:
            raise disk_error(error, folder) from error
        return folder

    def _copy(self, source: str, target: str, item: Item, tick: Tick) -> None:
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UserErrorException(f"{source} cannot be read: {error.strerror}.") from error
        try:
            with partial.writing(target) as output:
                size = copied(descriptor, output, tick)
                if size != item.size or not is_as_listed(item, descriptor):
                    raise changed(item, self.place)
        finally:
            os.close(descriptor)


def copied(source: int, output: int, tick: Tick) -> int:
    """Copy all of a file between descriptors, by the kernel where it can; the bytes that there were."""
    at = 0
    while sent := _send(output, source, at, _AT_ONCE):
        at += sent
        tick(sent)
    return at


def is_as_listed(item: Item, descriptor: int) -> bool:
    """Whether an open file is the one that was listed, and was not written to since."""
    return _version(os.fstat(descriptor)) == item.version


def _send(output: int, source: int, at: int, size: int) -> int:
    with contextlib.suppress(OSError, AttributeError):  # not on every file system and kernel
        return os.copy_file_range(source, output, size, at)
    return os.sendfile(output, source, at, size)


def _listed(folder: str) -> list[os.DirEntry[str]]:
    """What is in a folder; one that may not be read is an error, for its files would be missed by nobody."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserErrorException(f"{folder} cannot be listed: {error.strerror}.") from error


def _item(path: str, found: os.stat_result) -> Item:
    return Item(path, found.st_size, _version(found), datetime.fromtimestamp(found.st_mtime, timezone.utc))


def _version(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"
