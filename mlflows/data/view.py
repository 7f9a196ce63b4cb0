"""A folder with the files of a dataset under their names: links to where they are, or copies that may be written to.

Folders are gone into by their descriptors and never through a link, so that whatever names there are and whatever lies in the folder,
nothing is written outside of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence

from mlflows.data import partial
from mlflows.data.cache import Cache
from mlflows.data.definition import DataFile
from mlflows.data.local_store import LocalStore, copied, is_as_listed
from mlflows.data.parallel import in_parallel
from mlflows.data.store import UNKNOWN, Tick, changed, disk_error, gone, local_path
from mlflows.exceptions import UserErrorException

COPIERS = 8
"""Threads that copy; more do not help one disk."""

TICK_FILES = 100
"""So many links are made between two looks whether they are still wanted."""
BUSY_SECONDS = 1.0
"""For so long somebody may still write into a folder that is being removed."""

_READ_ONLY, _OWN = 0o444, 0o644
_FEW = 4
"""As many files are copied one after the other."""
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)
"""Where another file system, its limit or its owner does not let a file have one more name."""

_BUSY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR)
"""While a folder is removed: somebody writes into it, or removes it, too."""

_Member = tuple[str, int]
"""The last part of a file's name, and its place among the files."""


def fill(files: Sequence[DataFile], folder: str, writable: bool, tick: Tick = lambda size: None, ignore_gone: bool = False) -> list[str]:
    """Put files into a folder, which is made. One that is there of the same name is replaced.

    Args:
        files: the files.
        folder: the folder; a link to one is followed, a link in it is not.
        writable: copies, which may be written to; else hard links to what the cache has, or to where it cannot be linked to read-only
            copies, and symbolic links to files of a folder of this machine, in folders that cannot be written to.
        tick: called with the bytes that come from a store, and with 0 now and then.
        ignore_gone: leave out what was listed and is not there any more.

    Returns:
        The files' paths in the folder.

    Raises:
        UserErrorException: before anything is written, a name that leads out or that no file can have, or two that exclude each other;
            a link or a file where a folder should be; a full disk.
        What Store.fetch raises.
    """
    groups = _by_folder(files, folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise disk_error(error, folder) from error
    with Cache().paths(files, tick, ignore_gone) as sources, _Tree(folder, writable) as tree:
        filling = _Filling(files, sources, tick, ignore_gone)
        for inner in sorted(groups, key=lambda path: path.split("/")):
            there = tree.enter(inner)
            try:
                (filling.copy_all if writable else filling.link_all)(groups[inner], there)
            except OSError as error:
                raise disk_error(error, os.path.join(folder, inner)) from error
        return [os.path.join(folder, file.name) for file, source in zip(files, sources, strict=True) if source]


def remove(folder: str, keep: bool = False) -> None:
    """Remove a folder that was filled, with all that is in it; nothing happens if there is none. No link is followed.

    Args:
        folder: the folder.
        keep: only what is in it.

    Raises:
        OSError: somebody goes on writing into it, or may and this process may not.
    """
    deadline = 0.0
    while True:
        try:
            _remove(folder, keep)
            return
        except OSError as error:
            deadline = deadline or time.monotonic() + BUSY_SECONDS  # to remove all of it may take longer than that
            if error.errno not in _BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _remove(folder: str, keep: bool) -> None:
    import shutil  # slow to import

    if os.path.islink(folder) or not os.path.isdir(folder):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder)
        return
    for _, _, _, descriptor in os.fwalk(folder):
        if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(descriptor, stat.S_IRWXU)
    if not keep:
        shutil.rmtree(folder)
        return
    with os.scandir(folder) as found:
        for entry in list(found):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


class _Tree:
    """The folders of a view, each gone into once; ``enter`` wants them in order."""

    def __init__(self, folder: str, writable: bool) -> None:
        self._folder, self._writable = folder, writable
        self._stack: list[tuple[str, int]] = []

    def enter(self, inner: str) -> int:
        """The descriptor of a folder, which is made; it is good until the next call."""
        parts = inner.split("/") if inner else []
        while [part for part, _ in self._stack[1:]] != parts[: len(self._stack) - 1]:
            self._leave()
        for part in parts[len(self._stack) - 1 :]:
            self._stack.append((part, self._opened(part)))
        return self._stack[-1][1]

    def __enter__(self) -> _Tree:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack.append(("", descriptor))
        self._loosen(descriptor)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        while self._stack:
            self._leave(finished=kind is None)

    def _opened(self, part: str) -> int:
        above = self._stack[-1][1]
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=above)
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        except OSError as error:
            path = os.path.join(self._folder, *[each for each, _ in self._stack[1:]], part)
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise UserErrorException(f"{path} is a link or file, and a folder is needed. Remove it, or take another folder.") from None
            raise disk_error(error, path) from error
        self._loosen(descriptor)
        return descriptor

    def _loosen(self, descriptor: int) -> None:
        """One that was filled before, or in part."""
        if not self._writable and not os.fstat(descriptor).st_mode & stat.S_IWUSR:
            os.fchmod(descriptor, 0o755)

    def _leave(self, finished: bool = True) -> None:
        _, descriptor = self._stack.pop()
        try:
            if finished and not self._writable:
                os.fchmod(descriptor, 0o555)
        finally:
            os.close(descriptor)


def _by_folder(files: Sequence[DataFile], root: str) -> Mapping[str, list[_Member]]:
    """The files by folder; each of their names is one that can be written there, and none excludes another."""
    groups: dict[str, list[_Member]] = {}
    names: dict[str, int] = {}
    for index, file in enumerate(files):
        inner, _, last = file.name.rpartition("/")
        if inner not in groups or len(last) > 63 or last in ("", ".", "..") or not last.isascii() or "\0" in last:
            local_path(root, file.name)  # most names need no look at every part
        if names.setdefault(file.name, index) != index:
            other = files[names[file.name]]
            raise UserErrorException(
                f"{file.name!r} is the name of two files, {other.item.path} in {other.store.place} and {file.item.path} in "
                f"{file.store.place}: a folder cannot hold both. Take one of them."
            )
        groups.setdefault(inner, []).append((last, index))
    for inner in groups:
        parts = inner.split("/")
        for count in range(1, len(parts) + 1):
            if (name := "/".join(parts[:count])) in names:
                raise UserErrorException(f"{name!r} is a file, and other files are below it: a folder cannot hold both. Leave one out.")
    return groups


class _Filling:
    """Files on their way into folders, which are given by their descriptors. The source of one that is left out becomes ""."""

    def __init__(self, files: Sequence[DataFile], sources: list[str], tick: Tick, ignore_gone: bool) -> None:
        self._files, self._sources, self._tick, self._ignore_gone = files, sources, tick, ignore_gone
        self._linked = 0

    def link_all(self, members: Sequence[_Member], there: int) -> None:
        """To be read only."""
        for name, index in members:
            if self._linked % TICK_FILES == 0:
                self._tick(0)
            self._linked += 1
            if not self._sources[index]:
                continue
            hard = self._files[index].store.folder is None
            if not hard and not os.path.exists(self._sources[index]):
                self._lose(index)
                continue
            try:
                self._link(index, name, there, hard)
            except OSError as error:
                if not hard or error.errno not in _NO_LINK:
                    raise
                self._copy(index, name, there, _READ_ONLY)

    def copy_all(self, members: Sequence[_Member], there: int) -> None:
        """To be written to."""
        wanted = [member for member in members if self._sources[member[1]]]
        if len(wanted) < _FEW:
            for name, index in wanted:
                self._copy(index, name, there, _OWN)
            return
        in_parallel(lambda member: self._copy(member[1], member[0], there, _OWN), wanted, COPIERS)

    def _link(self, index: int, name: str, there: int, hard: bool) -> None:
        try:
            _make_link(self._sources[index], name, there, hard)
        except FileExistsError:
            with _temporary(there) as other:
                _make_link(self._sources[index], other, there, hard)
                os.rename(other, name, src_dir_fd=there, dst_dir_fd=there)

    def _copy(self, index: int, name: str, there: int, mode: int) -> None:
        with _temporary(there) as other:
            try:
                source = os.open(self._sources[index], os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self._lose(index)
                return
            try:
                self._copy_from(source, index, other, there, mode)
            finally:
                os.close(source)
            os.rename(other, name, src_dir_fd=there, dst_dir_fd=there)

    def _copy_from(self, source: int, index: int, name: str, there: int, mode: int) -> None:
        """A file that nobody keeps from being changed has to be the one that was listed."""
        file = self._files[index]
        is_local = file.store.folder is not None
        output = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=there)
        try:
            os.fchmod(output, mode)
            size = copied(source, output, self._tick if is_local else lambda size: self._tick(0))
        finally:
            os.close(output)
        if file.item.size not in (UNKNOWN, size) or (isinstance(file.store, LocalStore) and not is_as_listed(file.item, source)):
            raise changed(file.item, file.store.place)

    def _lose(self, index: int) -> None:
        if not self._ignore_gone:
            raise gone(self._files[index].item, self._files[index].store.place)
        self._sources[index] = ""


def _make_link(source: str, name: str, there: int, hard: bool) -> None:
    if hard:
        os.link(source, name, dst_dir_fd=there)
    else:
        os.symlink(source, name, dir_fd=there)


@contextlib.contextmanager
def _temporary(there: int) -> Iterator[str]:
    """A name for what is not whole yet, or takes the place of something; nothing of it stays."""
    name = f"{partial.PREFIX}{os.urandom(8).hex()}{partial.SUFFIX}"
    try:
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=there)
