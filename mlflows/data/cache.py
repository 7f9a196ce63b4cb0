"""Files of datastores that runs on this machine have read, kept for the next one.

A file is kept once under what it is: the store it comes from, its path, size and version. So an input that did not change costs its
listing and nothing else. Below ``~/.mlflows/cache``, or ``$MLFLOWS_CACHE``: ``files/<2 hex>/<62 hex>`` are the files, read-only;
``locks/`` has a lock for each that is being filled; ``held/`` a file for each holder, locked while it lives, that lists what it uses.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mlflows import settings
from mlflows.data import partial
from mlflows.data.store import Item, Store, Tick
from mlflows.exceptions import UserErrorException

FOLDER_VARIABLE = "MLFLOWS_CACHE"
SIZE_VARIABLE = "MLFLOWS_CACHE_SIZE"
"""Bytes at most, also as ``200GB`` or ``500MB``; 0 keeps nothing that nobody uses."""

DEFAULT_BYTES = 100 * 10**9
FILLED_TO = 0.9
"""An eviction makes room down to this part of the limit, so that not each new file causes one."""

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


class Cache:
    """The cache of this machine, or another folder; any number of processes share it."""

    def __init__(self, folder: Path | None = None, most_bytes: int | None = None) -> None:
        self._folder = str(folder or os.environ.get(FOLDER_VARIABLE) or settings.home() / "cache")
        self._most = limit() if most_bytes is None else most_bytes

    @contextlib.contextmanager
    def holding(self, store: Store, items: Sequence[Item], tick: Tick = lambda size: None) -> Iterator[list[str]]:
        """The paths of these files in the cache, fetched where they are not there; none goes while the block lasts.

        Raises:
            What Store.fetch raises.
        """
        keys = [self._key(store, item) for item in items]
        with self._held(keys):
            paths = [self._path(key) for key in keys]
            self._fill(store, list(zip(items, keys, paths, strict=True)), tick)
            yield paths

    def evict(self) -> int:
        """Remove what was not used for longest, down to the limit; what somebody holds stays. Returns the bytes removed."""
        with self._lock("evict", wait=False) as mine:
            if not mine:  # somebody else is at it
                return 0
            found = sorted(self._found())
            size = sum(each for _, each, _ in found)
            if size <= self._most:
                return 0
            removed, spared = 0, self._in_use()
            for _, bytes_, path in found:
                if size - removed <= self._most * FILLED_TO:
                    break
                if self._key_of(path) not in spared:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                        removed += bytes_
            return removed

    def _fill(self, store: Store, entries: Sequence[tuple[Item, str, str]], tick: Tick) -> None:
        missing = [entry for entry in entries if not self._is_there(entry[0], entry[2])]
        if not missing:
            return
        from concurrent.futures import ThreadPoolExecutor  # not needed to submit a run, and slow to import

        pool = ThreadPoolExecutor(min(store.parallel, len(missing)))
        try:
            for _ in pool.map(lambda entry: self._fetch(store, entry, tick), missing):
                pass
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        self.evict()

    def _fetch(self, store: Store, entry: tuple[Item, str, str], tick: Tick) -> None:
        """Who comes second waits for who came first, and finds the file."""
        item, key, path = entry
        with self._lock(key):
            if self._is_there(item, path):
                return
            folder = os.path.dirname(path)
            os.makedirs(folder, exist_ok=True)
            filling = f"{path}.new"
            store.fetch(item, filling, tick)
            os.chmod(filling, 0o444)
            os.rename(filling, path)

    def _is_there(self, item: Item, path: str) -> bool:
        """Of a file whose store does not tell its versions apart, nobody knows."""
        try:
            if item.version and os.stat(path).st_size == item.size:
                os.utime(path)  # when it was used last
                return True
        except FileNotFoundError:
            pass
        return False

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
                handle.writelines(key + "\n" for key in keys)
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
        folder = os.path.join(self._folder, "locks")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name[:3] if len(name) == 64 else name), "a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _found(self) -> Iterator[tuple[int, int, str]]:
        """(last used, bytes on disk, path) of all that is kept, what is being fetched left out."""
        for parent, _, names in os.walk(os.path.join(self._folder, "files")):
            for name in names:
                if not partial.is_partial(name):
                    path = os.path.join(parent, name)
                    with contextlib.suppress(FileNotFoundError):
                        seen = os.stat(path)
                        yield seen.st_mtime_ns, seen.st_size, path

    def _key(self, store: Store, item: Item) -> str:
        return hashlib.sha256("\0".join((store.place, item.path, str(item.size), item.version)).encode()).hexdigest()

    def _path(self, key: str) -> str:
        return os.path.join(self._folder, "files", key[:2], key[2:])

    def _key_of(self, path: str) -> str:
        folder, name = os.path.split(path)
        return os.path.basename(folder) + name.removesuffix(".new")


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
