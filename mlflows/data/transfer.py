"""Many files between a folder and a store: in parallel, with progress, nothing written where it does not belong."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from mlflows.data import partial
from mlflows.data.parallel import in_parallel
from mlflows.data.store import Item, Store, local_path, stays_inside
from mlflows.exceptions import UserErrorException

logger = logging.getLogger(__name__)

LINE_SECONDS = 5.0
"""Between two lines about a file that takes long."""
FEW = 32
"""As many files are looked for one by one; for more, what is there is listed."""


class Progress:
    """Prints each file and, for what takes long, the rate."""

    def __init__(self, verb: str, files: int, size: int, show: bool) -> None:
        self._verb, self._files, self._size = verb, files, size
        self._say: Callable[[str], None] = print if show else logger.debug
        self._began = self._said = time.monotonic()
        self._done = self._moved = 0
        self._lock = threading.Lock()

    def tick(self, size: int) -> None:
        """So many bytes more."""
        with self._lock:
            self._moved += size
            if time.monotonic() - self._said > LINE_SECONDS:
                self._line(f"{self._verb}: {human(self._moved)} of {human(self._size)}, {self._rate()}")

    def file(self, name: str) -> None:
        """A file is there."""
        with self._lock:
            self._done += 1
            self._line(f"{self._verb} {name}: {self._done} of {self._files} files")

    def end(self) -> None:
        """All of them are."""
        self._line(f"{self._verb} took {time.monotonic() - self._began:.1f} s: {human(self._moved)}, {self._rate()}")

    def skipped(self, there: int, of: int) -> None:
        """Some need not be moved."""
        self._line(f"{there} of {of} files are there already and stay as they are (overwrite=True replaces them)")

    def _line(self, text: str) -> None:
        self._said = time.monotonic()
        self._say(text)

    def _rate(self) -> str:
        return f"{human(int(self._moved / max(time.monotonic() - self._began, 0.001)))}/s"


def download(store: Store, items: Sequence[Item], root: str, overwrite: bool, show_progress: bool) -> None:
    """Copy files of a store to a folder; their paths are kept.

    Raises:
        UserErrorException: before anything is written: a path that leads out or cannot be one, two files that exclude each other, less
            room than is needed.
    """
    targets = _targets(items, root)
    chosen = [(item, target) for item, target in targets if overwrite or not os.path.lexists(target)]
    size = sum(item.size for item, _ in chosen)
    progress = Progress("Downloading", len(chosen), size, show_progress)
    if len(chosen) < len(items):
        progress.skipped(len(items) - len(chosen), len(items))
    if not chosen:
        return
    _make_folders(root, {os.path.dirname(target) for _, target in chosen})
    _check_room(root, size)

    def fetch(pair: tuple[Item, str]) -> None:
        store.fetch(*pair, progress.tick)
        progress.file(pair[0].path)

    in_parallel(fetch, chosen, store.parallel)
    progress.end()


def upload(store: Store, pairs: Sequence[tuple[str, str]], folder: str, overwrite: bool, show_progress: bool) -> None:
    """Copy files (source, path in the store) into a store; ``folder`` is the path that all of them are below."""
    present = set() if overwrite else there(store, [path for _, path in pairs], folder)
    chosen = [pair for pair in pairs if pair[1] not in present]
    progress = Progress("Uploading", len(chosen), sum(os.path.getsize(source) for source, _ in chosen), show_progress)
    if len(chosen) < len(pairs):
        progress.skipped(len(pairs) - len(chosen), len(pairs))
    if not chosen:
        return

    def put(pair: tuple[str, str]) -> None:
        store.put(*pair, progress.tick)
        progress.file(pair[0])

    in_parallel(put, chosen, store.parallel)
    progress.end()


def human(size: int) -> str:
    """Bytes for people."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:,.2f} GB"


def _targets(items: Iterable[Item], root: str) -> list[tuple[Item, str]]:
    targets = [(item, local_path(root, item.path)) for item in items]
    files = {target for _, target in targets}
    for item, target in targets:
        parent = os.path.dirname(target)
        while len(parent) > len(root):
            if parent in files:
                raise UserErrorException(
                    f"{os.path.relpath(parent, root)!r} is a file in the datastore, and so is {item.path!r}: on disk the first would have "
                    "to be a folder. Rename one of them, or give another prefix."
                )
            parent = os.path.dirname(parent)
    return targets


def _make_folders(root: str, folders: Iterable[str]) -> None:
    os.makedirs(root, exist_ok=True)
    for folder in sorted(folders):
        if not stays_inside(root, folder):
            raise UserErrorException(f"{folder} leads out of {root} by a link. Remove the link, or download to another folder.")
        try:
            os.makedirs(folder, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserErrorException(
                f"{folder} should be a folder, and is or leads through a file. Remove it, or download elsewhere."
            ) from None
        partial.remove_stale(folder)


def _check_room(root: str, size: int) -> None:
    import shutil  # slow to import

    free = shutil.disk_usage(root).free
    if size > free:
        raise UserErrorException(f"{root}: {human(size)} are needed, and {human(free)} are free. Free some space, or download elsewhere.")


def there(store: Store, paths: Sequence[str], folder: str) -> set[str]:
    """Those of some paths that are in a store; ``folder`` is one that all of them are below."""
    if len(paths) <= FEW:
        return set(found(store, paths))
    wanted = set(paths)
    return {item.path for item in store.items(f"{folder}/" if folder else "") if item.path in wanted}


def found(store: Store, paths: Sequence[str]) -> dict[str, Item]:
    """Those of some paths that are in a store, each asked for, as many at once as the store takes: however much else there is."""
    items: dict[str, Item] = {}

    def look(path: str) -> None:
        item = store.item(path)
        if item is not None:
            items[path] = item

    if len(paths) == 1:
        look(paths[0])
    elif paths:
        in_parallel(look, paths, store.parallel)
    return items
