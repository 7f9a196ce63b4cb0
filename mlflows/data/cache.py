"""Files of datastores that runs on this machine have read, kept for the next one.

A file is kept once under what it is: the store it comes from, its path, size and version. So an input that did not change costs its
listing and nothing else. Below ``~/.mlflows/cache``, or ``$MLFLOWS_CACHE``: ``files/<2 hex>/<62 hex>`` are the files, read-only;
``locks/`` has a lock for each that is being filled; ``held/`` a file for each holder, locked while it lives, that lists what it uses.

The time of a file's last change is a mark, set when the file is whole: one that somebody has written to since, as root can, has another
and is fetched again. The time of its last use is the one of its last access.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mlflows import settings
from mlflows.data import partial
from mlflows.data.definition import DataFile
from mlflows.data.parallel import in_parallel
from mlflows.data.store import UNKNOWN, Gone, Item, Store, Tick, disk_error, local_path
from mlflows.exceptions import UserErrorException

FOLDER_VARIABLE = "MLFLOWS_CACHE"
SIZE_VARIABLE = "MLFLOWS_CACHE_SIZE"
"""Bytes at most, also as ``200GB`` or ``500MB``; 0 keeps nothing that nobody uses."""

DEFAULT_BYTES = 100 * 10**9
FILLED_TO = 0.9
"""An eviction makes room down to this part of the limit, so that not each new file causes one."""

MARK = 10**18
"""Nanoseconds since 1970: the time of change of a file that is whole and as it was fetched."""
USED_NS = 600 * 10**9
"""So old a time of use is written anew."""

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


class Cache:
    """The cache of this machine, or another folder; any number of processes share it."""

    def __init__(self, folder: Path | None = None, most_bytes: int | None = None) -> None:
        self._folder = os.path.abspath(folder or os.environ.get(FOLDER_VARIABLE) or settings.home() / "cache")
        self._most = limit() if most_bytes is None else most_bytes

    @contextlib.contextmanager
    def paths(self, files: Sequence[DataFile], tick: Tick = lambda size: None, ignore_gone: bool = False) -> Iterator[list[str]]:
        """Where these files are on this machine, fetched where they are not there; none goes while the block lasts.

        Files of a store that is a folder are where they always were. Nobody may write to any of them.

        Args:
            files: the files.
            tick: called with the bytes that are fetched.
            ignore_gone: say "" of a file that was listed and is not there any more, and do not raise.

        Raises:
            What Store.fetch raises; UserErrorException if the disk has no room for all of them.
        """
        entries = [self._entry(file) for file in files]
        mine = [entry for entry in entries if entry.key]
        with self._held(entry.key for entry in mine) if mine else contextlib.nullcontext():
            missing = _missing(mine)
            lost = self._fill(missing, tick, ignore_gone)
            yield [entry.path if entry.key not in lost else "" for entry in entries]
        if missing:
            self.evict()

    def evict(self, coming: int = 0) -> int:
        """Remove what was not used for longest, until the limit and the disk have room for so many bytes more; what somebody holds or has
        a link to stays. Returns the bytes removed.
        """
        with self._lock("evict", wait=False) as mine:
            if not mine:  # somebody else is at it
                return 0
            found = sorted(self._found())
            size = sum(each.size for each in found)
            most = min(self._most, size + self._free())
            if size + coming <= most:
                return 0
            removed, spared = 0, self._in_use()
            for each in found:
                if size - removed + coming <= most * FILLED_TO:
                    break
                if not each.linked and self._key_of(each.path) not in spared:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(each.path)
                        removed += each.size
            return removed

    def _entry(self, file: DataFile) -> _Entry:
        if file.store.folder is not None:
            return _Entry(file.store, file.item, "", local_path(file.store.folder, file.item.path))
        what = (file.store.place, file.item.path, str(file.item.size), file.item.version)
        key = hashlib.sha256("\0".join(what).encode("utf-8", "surrogatepass")).hexdigest()
        return _Entry(file.store, file.item, key, f"{self._folder}/files/{key[:2]}/{key[2:]}")

    def _fill(self, missing: Sequence[_Entry], tick: Tick, ignore_gone: bool) -> set[str]:
        """Returns the keys of files that are gone."""
        if not missing:
            return set()
        self._make_room(sum(max(entry.item.size, 0) for entry in missing))
        lost: set[str] = set()

        def fetch(entry: _Entry) -> None:
            try:
                self._fetch(entry, tick)
            except Gone:
                if not ignore_gone:
                    raise
                lost.add(entry.key)

        in_parallel(fetch, missing, max(entry.store.parallel for entry in missing))
        return lost

    def _make_room(self, coming: int) -> None:
        """Raises UserErrorException if the disk has none, whatever is evicted."""
        os.makedirs(f"{self._folder}/files", exist_ok=True)
        self.evict(coming)
        free = self._free()
        if coming > free:
            raise UserErrorException(
                f"{self._folder}: {coming:,} bytes are needed for what a dataset has, and {free:,} are free. Free some space, or set "
                f"{FOLDER_VARIABLE} to a folder on a larger disk."
            )

    def _fetch(self, entry: _Entry, tick: Tick) -> None:
        """Who comes second waits for who came first, and finds the file."""
        with self._lock(entry.key):
            if _is_whole(entry, time.time_ns()):
                return
            try:
                if not os.path.isdir(folder := os.path.dirname(entry.path)):
                    os.makedirs(folder, exist_ok=True)
                entry.store.fetch(entry.item, entry.path, tick)
                os.chmod(entry.path, 0o444)
                os.utime(entry.path, ns=(time.time_ns(), MARK))  # last: before it, nobody takes the file
            except OSError as error:
                raise disk_error(error, self._folder) from error

    def _free(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            found = os.statvfs(self._folder)
            return found.f_bavail * found.f_frsize
        return 1 << 62

    @contextlib.contextmanager
    def _held(self, keys: Iterable[str]) -> Iterator[None]:
        """Written and locked before the first file is looked for; an eviction under way ends first."""
        folder = os.path.join(self._folder, "held")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{os.getpid()}-{os.urandom(8).hex()}")
        with self._lock("evict"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with open(descriptor, "w", encoding="ascii", closefd=False) as handle:
                handle.write("\n".join(keys))
        try:
            yield
        finally:
            os.unlink(path)
            os.close(descriptor)

    def _in_use(self) -> set[str]:
        """What living processes hold; the lists of dead ones are removed."""
        keys: set[str] = set()
        with contextlib.suppress(FileNotFoundError), os.scandir(os.path.join(self._folder, "held")) as found:
            for item in found:
                with contextlib.suppress(FileNotFoundError), open(item.path, encoding="ascii") as handle:
                    try:
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(item.path)
                    except BlockingIOError:
                        keys.update(handle.read().split())
        return keys

    @contextlib.contextmanager
    def _lock(self, name: str, wait: bool = True) -> Iterator[bool]:
        """One of 4096 files for all that is filled, so that they do not pile up; False if somebody has it and this does not wait."""
        path = f"{self._folder}/locks/{name[:3] if len(name) == 64 else name}"
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            yield False
            return
        try:
            yield True
        finally:
            os.close(descriptor)

    def _found(self) -> Iterator[_Kept]:
        """All that is kept, what is being fetched left out; what killed processes have left is removed."""
        for parent, _, names in os.walk(f"{self._folder}/files"):
            if any(map(partial.is_partial, names)):
                partial.remove_stale(parent)
            for name in names:
                if not partial.is_partial(name):
                    path = os.path.join(parent, name)
                    with contextlib.suppress(FileNotFoundError):
                        seen = os.stat(path)
                        yield _Kept(seen.st_atime_ns, seen.st_size, path, seen.st_nlink > 1)

    def _key_of(self, path: str) -> str:
        return path[-65:].replace("/", "")


def _opened(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


class _Entry(NamedTuple):
    store: Store
    item: Item
    key: str  # "" where the store has the file on this machine
    path: str


class _Kept(NamedTuple):
    used: int
    size: int
    path: str
    linked: bool


def _missing(entries: Iterable[_Entry]) -> list[_Entry]:
    now = time.time_ns()
    return list({entry.key: entry for entry in entries if not _is_whole(entry, now)}.values())


def _is_whole(entry: _Entry, now: int) -> bool:
    """Of a file whose store does not tell its versions apart, nobody knows."""
    if not entry.item.version:
        return False
    try:
        seen = os.stat(entry.path)
    except FileNotFoundError:
        return False
    if seen.st_mtime_ns != MARK or entry.item.size not in (UNKNOWN, seen.st_size):
        return False
    if now - seen.st_atime_ns > USED_NS:
        with contextlib.suppress(PermissionError):  # somebody else's, in a cache that is shared
            os.utime(entry.path, ns=(now, MARK))
    return True


def limit() -> int:
    """Bytes that the cache may have.

    Raises:
        UserErrorException: the variable is no size.
    """
    value = os.environ.get(SIZE_VARIABLE)
    if not value:
        return DEFAULT_BYTES
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", value.strip().lower())
    if not found or found.group(2) not in _UNITS:
        raise UserErrorException(f"{SIZE_VARIABLE}: {value!r} is not a size. Write 200GB, 500MB, or a number of bytes.")
    return int(float(found.group(1)) * _UNITS[found.group(2)])
