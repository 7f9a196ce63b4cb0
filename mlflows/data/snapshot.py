"""Snapshots of source directories, addressed by content.

A store is a folder::

    blobs/ab/cdef...      the content of a file, by the sha256 of it; never changed once it is there
    manifests/<id>.json   what a directory was: paths, modes, sizes, hashes, links; <id> is the sha256 of the file's own text
    tmp/                  files being written

So runs share what they have in common, nothing is stored twice, and any number of processes may store at once: everything is written
under a temporary name and renamed. There is no limit of size or number, but what is large is named.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from mlflows import settings
from mlflows.data import snapshot_index
from mlflows.data.tree import Entry, Tree, scan, unreadable
from mlflows.exceptions import SnapshotException

LARGE_BYTES = 314572800
"""SDK v1's limit, 300 MB; here a snapshot past it only names its largest files."""

WHOLE_BYTES = 1 << 20
"""Files up to this size are read in one piece."""

ATTEMPTS = 3
"""How often a file that changes while it is read is read again; one that goes on changing is a log, and is taken as last read."""

STALE_SECONDS = 86400
"""Temporary files this old were left by a process that was killed."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """What was taken.

    ``bytes`` is the size of all files, ``new_bytes`` of those the store did not have. ``excluded`` are paths left out by the rules for
    directories without an ignore file, ``skipped`` those that are neither file nor folder, with what they are.
    """

    id: str
    files: int
    bytes: int
    new_bytes: int
    excluded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


def store_of(workspace: str) -> Path:
    """The store of a workspace on this machine: in its built-in datastore, out of sight."""
    return settings.workspace_dir(workspace) / "datastores" / "workspaceblobstore" / ".mlflows" / "snapshots"


def is_here(identifier: str, workspace: str) -> bool:
    """Whether this machine has a snapshot."""
    return os.path.exists(_manifest_path(store_of(workspace), identifier))


def take(source: Path, store: Path, *, progress: Progress | None = None) -> Snapshot:
    """Store a source directory.

    Symbolic links stay links if they lead to something inside; a link to a file outside becomes that file.

    Args:
        source: the directory.
        store: the store; made if it is not there.
        progress: called with a line of text when it takes longer than a second, and when the files stored exceed 300 MB.

    Raises:
        SnapshotException: the directory does not exist, something in it cannot be read, or a link leads to a folder outside.
    """
    root = os.path.realpath(source)
    if not os.path.isdir(root):
        raise SnapshotException(f"The source directory {os.fspath(source)!r} is not a folder. Give the folder that holds the script.")
    report = _Report(root, progress)
    index = snapshot_index.load(root)
    looked_at = time.time_ns()
    tree = scan(root, without=(str(settings.home()), str(store)), tick=report.scanned)
    fingerprint = tree.fingerprint()
    complete = bool(index.snapshot) and os.path.exists(_manifest_path(store, index.snapshot))
    if complete and fingerprint == index.fingerprint:
        return _snapshot(index, tree, 0)
    writer = _Writer(root, store, looked_at, index.known(), complete, report)
    try:
        rows = writer.store_all(tree)
        identifier = _write_manifest(store, rows)
    except OSError as error:
        raise SnapshotException(
            f"The code in {root} cannot be stored in {store}: {error}. Is there space, and may you write there?"
        ) from error
    young = writer.changing or snapshot_index.any_young(tree.entries, looked_at)
    index = index._replace(
        fingerprint="" if young else fingerprint, snapshot=identifier, files=len(rows), bytes=sum(row[2] for row in rows)
    )
    snapshot_index.save(index, writer.known)
    _remove_stale(store)
    return _snapshot(index, tree, writer.new_bytes)


def materialize(identifier: str, store: Path, target: Path) -> None:
    """Write a snapshot as a folder, which appears whole or not at all.

    The files are copies (shared blocks where the file system can), so the job may change them; their owner may always write them.

    Raises:
        SnapshotException: the snapshot is not in the store or damaged, its manifest names a path outside of the folder, or the target
            holds something already.
    """
    rows = _read_manifest(store, identifier)
    parent = os.path.dirname(os.path.abspath(target))
    os.makedirs(parent, exist_ok=True)
    partial = os.path.join(parent, f".{os.path.basename(target)}.{_unique()}.part")
    os.mkdir(partial)
    try:
        _write_tree(rows, store, identifier, partial)
        os.rename(partial, target)
    except BaseException as error:
        import shutil  # slow to import, and not needed to take a snapshot

        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError) and os.path.lexists(target):
            raise SnapshotException(f"The code cannot be written to {target}: it exists already. Remove it.") from error
        raise


def manifest(identifier: str) -> str:
    """Path of a snapshot's manifest in any store."""
    return f"manifests/{identifier}.json"


def blobs(identifier: str, text: bytes) -> dict[str, str]:
    """Path in any store -> sha256 of the contents that a snapshot is made of, from the text of its manifest.

    Raises:
        SnapshotException: it is not the text of this snapshot's manifest.
    """
    contents = (content for _, _, _, content in _rows_of(identifier, text))
    return {f"blobs/{content[:2]}/{content[2:]}": content for content in contents if re.fullmatch("[0-9a-f]{64}", content)}


def _snapshot(index: snapshot_index.Index, tree: Tree, new_bytes: int) -> Snapshot:
    return Snapshot(index.snapshot, index.files, index.bytes, new_bytes, tuple(tree.excluded), tuple(tree.skipped))


class _Report:
    """Says what goes on once it takes longer than a second, then every five."""

    def __init__(self, root: str, progress: Progress | None) -> None:
        self._root = root
        self._progress = progress
        self._next = time.monotonic() + 1.0

    def scanned(self, entries: int) -> None:
        self._say(lambda: f"Looking through {self._root}: {entries:,} files so far")

    def stored(self, files: int, size: int) -> None:
        self._say(lambda: f"Storing the code of {self._root}: {files:,} files, {_human(size)} so far")

    def large(self, rows: list[list[Any]]) -> None:
        """Name the largest files and folders, for a file that is not code was often not meant to be there."""
        total = sum(row[2] for row in rows)
        if self._progress is None or total <= LARGE_BYTES:
            return
        sizes: dict[str, int] = {}
        for path, _, size, _ in rows:
            top = path.split("/", 1)[0] + ("/" if "/" in path else "")
            sizes[top] = sizes.get(top, 0) + size
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
        names = ", ".join(f"{name} ({_human(size)})" for name, size in largest)
        self._progress(
            f"The code in {self._root} is {_human(total)}; the largest: {names}. What the script does not need: list it in .amlignore"
        )

    def _say(self, text: Callable[[], str]) -> None:
        now = time.monotonic()
        if self._progress is not None and now >= self._next:
            self._next = now + 5.0
            self._progress(text())


class _Writer:
    """Brings the files of one tree into the store; ``known`` becomes the content of the next index."""

    def __init__(self, root: str, store: Path, looked_at: int, known: dict[str, list[Any]], complete: bool, report: _Report) -> None:
        self._root = root
        self._store = os.fspath(store)
        self._looked_at = looked_at
        self._before = known
        self._complete = complete
        self._report = report
        self.known: dict[str, list[Any]] = {}
        self.new_bytes = 0
        self.changing = False

    def store_all(self, tree: Tree) -> list[list[Any]]:
        """The manifest's rows: [path, mode, size, sha256], [path, mode, 0, "->target"], or [path/, mode, 0, ""]."""
        os.makedirs(os.path.join(self._store, "tmp"), exist_ok=True)
        rows = []
        size = 0
        for entry in tree.entries:
            row = self._row(entry)
            if row is not None:
                rows.append(row)
                size += row[2]
                self._report.stored(len(rows), size)
        rows.sort()
        if self.new_bytes:
            self._report.large(rows)
        return rows

    def _row(self, entry: Entry) -> list[Any] | None:
        path, mode, size, mtime, ctime, inode, link = entry
        if link is not None:
            return [path, 0o777, 0, "->" + link]
        if path.endswith("/"):
            return [path, mode & 0o777, 0, ""]
        before = self._before.get(path)
        if before is not None and before[:4] == [size, mtime, ctime, inode] and self._has(before[4], size):
            self._remember(entry, before[4])
            return [path, mode & 0o777, size, before[4]]
        stored = self._store_file(path)
        if stored is None:
            return None
        if stored[0] == size:
            self._remember(entry, stored[1])
        else:
            self.changing = True
        return [path, mode & 0o777, *stored]

    def _remember(self, entry: Entry, digest: str) -> None:
        path, _, size, mtime, ctime, inode, _ = entry
        if not snapshot_index.is_young(entry, self._looked_at):
            self.known[path] = [size, mtime, ctime, inode, digest]

    def _has(self, digest: str, size: int) -> bool:
        return self._complete or _is_stored(_blob_path(self._store, digest), size)

    def _store_file(self, path: str) -> tuple[int, str] | None:
        """Size and hash of a file, once its content is in the store; None if it was removed meanwhile."""
        full = os.path.join(self._root, path)
        try:
            with open(full, "rb", buffering=0) as handle:
                for _ in range(ATTEMPTS):
                    before = os.fstat(handle.fileno())
                    stored = self._store_content(handle, before.st_size)
                    after = os.fstat(handle.fileno())
                    if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                        return stored
                    handle.seek(0)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise unreadable(full) from error
        self.changing = True
        return stored

    def _store_content(self, handle: FileIO, size: int) -> tuple[int, str]:
        """Read no further than the size it had at first: what grows as fast as it is read has no end."""
        if size > WHOLE_BYTES:
            return self._store_stream(handle, size)
        data = handle.read(size)
        digest = hashlib.sha256(data).hexdigest()
        blob = _blob_path(self._store, digest)
        if not _is_stored(blob, len(data)):
            with self._temporary() as (temporary, output):
                output.write(data)
            self._keep(temporary, blob, len(data))
        return len(data), digest

    def _store_stream(self, handle: FileIO, limit: int) -> tuple[int, str]:
        digest, size = hashlib.sha256(), 0
        with self._temporary() as (temporary, output):
            while data := handle.read(min(WHOLE_BYTES, limit - size)):
                digest.update(data)
                output.write(data)
                size += len(data)
                self._report.stored(len(self.known), self.new_bytes + size)
        blob = _blob_path(self._store, digest.hexdigest())
        if _is_stored(blob, size):
            os.unlink(temporary)
        else:
            self._keep(temporary, blob, size)
        return size, digest.hexdigest()

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[str, BinaryIO]]:
        path = os.path.join(self._store, "tmp", _unique())
        try:
            with open(path, "xb") as output:
                yield path, output
        except BaseException:
            os.unlink(path)
            raise

    def _keep(self, temporary: str, blob: str, size: int) -> None:
        try:
            os.rename(temporary, blob)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(blob), exist_ok=True)
            os.rename(temporary, blob)
        self.new_bytes += size


_COUNTER = itertools.count()


def _unique() -> str:
    """A file name no other process or thread uses."""
    return f"{os.getpid()}-{next(_COUNTER)}-{os.urandom(4).hex()}"


def _blob_path(store: str | Path, digest: str) -> str:
    return f"{os.fspath(store)}/blobs/{digest[:2]}/{digest[2:]}"


def _manifest_path(store: Path, identifier: str) -> str:
    return f"{os.fspath(store)}/manifests/{identifier}.json"


def _is_stored(blob: str, size: int) -> bool:
    """A blob of another size was cut short by a crash of the machine; it is written anew."""
    try:
        return os.stat(blob).st_size == size
    except FileNotFoundError:
        return False


def _write_manifest(store: Path, rows: list[list[Any]]) -> str:
    text = json.dumps({"format": 1, "files": rows}, separators=(",", ":"))
    identifier = hashlib.sha256(text.encode("ascii")).hexdigest()
    path = _manifest_path(store, identifier)
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = os.path.join(store, "tmp", _unique())
        with open(temporary, "w", encoding="ascii") as handle:
            handle.write(text)
        os.rename(temporary, path)
    return identifier


def _read_manifest(store: Path, identifier: str) -> list[list[Any]]:
    if not re.fullmatch("[0-9a-f]{64}", identifier):
        raise SnapshotException(f"{identifier!r} is not the id of a snapshot (64 hexadecimal digits).")
    try:
        with open(_manifest_path(store, identifier), "rb") as handle:
            text = handle.read()
    except FileNotFoundError as error:
        raise SnapshotException(
            f"The snapshot {identifier} is not in {store}. Submit the run again, which stores its code anew."
        ) from error
    try:
        return _rows_of(identifier, text)
    except _Changed:
        raise _damaged(store, identifier, "its manifest was changed") from None


class _Changed(SnapshotException):
    pass


def _rows_of(identifier: str, text: bytes) -> list[list[Any]]:
    if hashlib.sha256(text).hexdigest() != identifier:
        raise _Changed(f"The manifest of the snapshot {identifier} is damaged. Submit the run again, which stores its code anew.")
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != 1:
        raise SnapshotException(f"The snapshot {identifier} has a form this version of mlflows does not know. Update mlflows.")
    rows: list[list[Any]] = manifest["files"]
    return rows


def _write_tree(rows: list[list[Any]], store: Path, identifier: str, target: str) -> None:
    """Links come last, so that no file can be written through one."""
    made = {""}
    links = []
    for path, mode, size, content in rows:
        _check_path(identifier, path.rstrip("/") if not content else path)
        folder = path.rpartition("/")[0]
        if folder not in made:
            os.makedirs(f"{target}/{folder}", exist_ok=True)
            made.add(folder)
        if content.startswith("->"):
            _check_link(identifier, path, content[2:])
            links.append((path, content[2:]))
        elif content:
            _write_file(store, identifier, content, f"{target}/{path}", mode, size)
    for path, link in links:
        os.symlink(link, f"{target}/{path}")


def _check_path(identifier: str, path: str) -> None:
    """A manifest may come from anywhere."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise SnapshotException(f"The snapshot {identifier} holds the path {path!r}, which leads out of the job's folder. It is not used.")


def _check_link(identifier: str, path: str, link: str) -> None:
    if os.path.isabs(link) or os.path.normpath(os.path.join(os.path.dirname(path), link)).split("/")[0] == "..":
        raise SnapshotException(
            f"The snapshot {identifier} holds the link {path!r} to {link!r}, which leads out of the job's folder. It is not used."
        )


def _write_file(store: Path, identifier: str, digest: str, path: str, mode: int, size: int) -> None:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise SnapshotException(f"The snapshot {identifier} is damaged: {digest!r} is not a hash.")
    try:
        source = os.open(_blob_path(store, digest), os.O_RDONLY)
    except FileNotFoundError as error:
        raise _damaged(store, identifier, f"the content of {os.path.basename(path)} is missing") from error
    try:
        if os.fstat(source).st_size != size:
            raise _damaged(store, identifier, f"the content of {os.path.basename(path)} was cut short")
        output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            _copy(source, output, size)
            os.fchmod(output, (mode & 0o777) | stat.S_IWUSR)
        finally:
            os.close(output)
    finally:
        os.close(source)


def _copy(source: int, output: int, size: int) -> None:
    if size <= WHOLE_BYTES:
        data = os.read(source, size)
        if len(data) == size and os.write(output, data) == size:
            return
        os.lseek(source, 0, os.SEEK_SET)
        os.lseek(output, 0, os.SEEK_SET)
    with contextlib.suppress(OSError, AttributeError):  # not on every file system and kernel
        while os.copy_file_range(source, output, 1 << 30):
            pass
        if os.lseek(source, 0, os.SEEK_CUR) == size:
            return
    at = os.lseek(source, 0, os.SEEK_CUR)
    while sent := os.sendfile(output, source, at, 1 << 30):
        at += sent


def _damaged(store: Path, identifier: str, what: str) -> SnapshotException:
    """Without its manifest, the next submit of the same code stores everything anew."""
    with contextlib.suppress(OSError):
        os.unlink(_manifest_path(store, identifier))
    return SnapshotException(f"The snapshot {identifier} in {store} is damaged: {what}. Submit the run again, which stores its code anew.")


def _remove_stale(store: Path) -> None:
    limit = time.time() - STALE_SECONDS
    with os.scandir(os.path.join(store, "tmp")) as found:
        for item in found:
            with contextlib.suppress(FileNotFoundError):
                if item.stat().st_mtime < limit:
                    os.unlink(item.path)


def _human(size: int) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size //= 1000
    return f"{size:,} GB"
