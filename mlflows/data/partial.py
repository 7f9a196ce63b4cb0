"""A file on its way to disk: under another name beside its place until it is whole, then renamed.

A large one remembers which of its parts are there, so that whoever comes next after a kill fetches only the rest.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from mlflows.data.store import Item

PREFIX, SUFFIX, JOURNAL = ".mlflows-", ".part", ".parts"
RESUMABLE_SECONDS = 7 * 24 * 3600.0
"""For as long the parts of a large file are kept."""

_counter = iter(range(1 << 62))


def is_partial(name: str) -> bool:
    """Whether a file of this name is one on its way, or the list of its parts."""
    return name.startswith(PREFIX) and name.endswith((SUFFIX, JOURNAL))


@contextlib.contextmanager
def writing(target: str) -> Iterator[int]:
    """A descriptor to write a whole file to; it becomes ``target`` when the block ends without an error, and is removed when not."""
    temporary = os.path.join(os.path.dirname(target), f"{PREFIX}{os.getpid()}-{next(_counter)}{SUFFIX}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with contextlib.suppress(OSError):  # only so that remove_stale spares it; not on every file system
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
        os.rename(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(descriptor)


def remove_stale(folder: str) -> None:
    """Remove what killed processes have left of small files; what somebody writes, and what was resumable until lately, stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for name in [item.name for item in found if item.name.startswith(PREFIX) and item.name.endswith(SUFFIX)]:
            path = os.path.join(folder, name)
            journal = path.removesuffix(SUFFIX) + JOURNAL
            with contextlib.suppress(OSError):
                if os.path.exists(journal) and os.stat(journal).st_mtime > time.time() - RESUMABLE_SECONDS:
                    continue
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
                    os.unlink(journal)
                finally:
                    os.close(descriptor)


class Partial:
    """A large file, fetched in parts of ``part_bytes`` in any order, by threads.

    The parts that are there are listed beside it. Who is killed loses the parts that were under way; a machine that went down, all of
    them, for nobody knows what of them reached the disk. Only one process works on it: another gets a file of its own.
    """

    def __init__(self, item: Item, target: str, part_bytes: int) -> None:
        self._target, self._size, self._part_bytes = target, item.size, part_bytes
        self._header = json.dumps([item.path, item.size, item.version, part_bytes, _boot()]) + "\n"
        self._path = self._beside(hashlib.sha256(self._header.encode()).hexdigest()[:24])
        self._lock = threading.Lock()
        self.descriptor = self._open()
        self._journal = os.open(self._path.removesuffix(SUFFIX) + JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._there = self._read_journal()
        os.ftruncate(self.descriptor, item.size)

    def missing(self) -> list[tuple[int, int]]:
        """(begin, end) of the parts that are not there."""
        begins = range(0, self._size, self._part_bytes)
        return [(begin, min(begin + self._part_bytes, self._size)) for begin in begins if begin not in self._there]

    def write(self, begin: int, data: memoryview) -> None:
        """Take a part in."""
        at = begin
        while data:
            written = os.pwrite(self.descriptor, data, at)
            data, at = data[written:], at + written
        with self._lock:
            os.write(self._journal, f"{begin}\n".encode())

    def finish(self) -> None:
        """It is whole: give it its name."""
        os.rename(self._path, self._target)
        self._remove_journal()

    def discard(self) -> None:
        """It is no good: remove it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._remove_journal()

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._journal)
        os.close(self.descriptor)

    def _beside(self, name: str) -> str:
        return os.path.join(os.path.dirname(self._target), f"{PREFIX}{name}{SUFFIX}")

    def _open(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # somebody else is at it
                os.close(descriptor)
                self._path = self._beside(f"{os.getpid()}-{next(_counter)}")
                continue
            if _is_there(self._path, descriptor):
                return descriptor
            os.close(descriptor)  # finished by somebody else between the two calls

    def _read_journal(self) -> set[int]:
        with open(os.dup(self._journal), encoding="ascii", errors="replace") as handle:
            handle.seek(0)
            text = handle.read()
        if text.startswith(self._header) and os.fstat(self.descriptor).st_size == self._size:
            lines = text[len(self._header) :].split("\n")[:-1]  # the last one may have been cut off
            return {int(line) for line in lines if line.isdecimal()}
        os.ftruncate(self._journal, 0)
        os.write(self._journal, self._header.encode())
        return set()

    def _remove_journal(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path.removesuffix(SUFFIX) + JOURNAL)


def _is_there(path: str, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as handle:
            return handle.read().strip()
    except OSError:
        return ""
