"""Where the files of a dataset are: list what is under a path or pattern of a place, open one, fetch one into a folder.

A place is a datastore, a folder of this machine or a web server. A datastore that is no folder offers ``_place()``, which returns its own.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from mlflows.data import globs
from mlflows.data.datastore_kinds import OWN_FOLDER
from mlflows.exceptions import UserErrorException

WEB_SECONDS = 30
"""Without a byte from a web server for so long, it is asked again."""
_PAUSES = (0.5, 2.0)
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file of a place.

    Attributes:
        path: in the place, with ``/`` and without one in front.
        size: in bytes; -1 if the place does not say.
        changed: when it was changed last; None if the place does not say.
        mark: what is another one once the content is another: an ETag, nanoseconds.
    """

    path: str
    size: int
    changed: datetime | None
    mark: str


class Place(Protocol):
    """Where files are."""

    @property
    def name(self) -> str:
        """What stands in front of paths where several places come together: one part of a path."""

    def list(self, path: str) -> list[Entry]:
        """The files under a path: the file itself, all below a folder, or what a pattern means; by path. Empty if there is nothing."""

    def open(self, entry: Entry) -> IO[bytes]:
        """The content, to be read from any position.

        Raises:
            FileNotFoundError: it is not there any more.
        """


class FolderPlace:
    """A folder of this machine; links that lead out of it are no files of it."""

    def __init__(self, root: str | Path, name: str) -> None:
        self._root = os.path.abspath(root)
        self.name = name

    def list(self, path: str) -> list[Entry]:
        """See Place."""
        path = globs.inside("path", path)
        real = os.path.realpath(self._root)
        if not globs.has_pattern(path) or os.path.lexists(os.path.join(self._root, path)):
            found = self._below(path, real)
        else:
            folder, pattern = globs.split(path)
            start = f"{folder}/" if folder else ""
            found = (each for each in self._below(folder, real) if globs.matches(pattern, each.path[len(start) :]))
        return sorted(found, key=lambda entry: entry.path)

    def open(self, entry: Entry) -> IO[bytes]:
        """See Place."""
        full = os.path.join(self._root, globs.inside("path", entry.path))
        if not _is_in(os.path.realpath(full), os.path.realpath(self._root)):
            raise FileNotFoundError(full)
        return open(full, "rb")

    def _below(self, path: str, real: str) -> Iterator[Entry]:
        full = os.path.join(self._root, path) if path else self._root
        if not _is_in(os.path.realpath(full), real):
            return
        if not os.path.isdir(full):
            yield from self._entry(path, real)
            return
        for parent, folders, files in os.walk(full):
            relative = os.path.relpath(parent, self._root)
            if relative == os.curdir:
                relative = ""
                folders[:] = [each for each in folders if each != OWN_FOLDER]
            for name in files:
                yield from self._entry(f"{relative}/{name}" if relative else name, real)

    def _entry(self, path: str, real: str) -> Iterator[Entry]:
        """Pipes and devices are no files: they would be read for ever."""
        full = os.path.join(self._root, path)
        try:
            known = os.stat(full)
        except OSError:
            return
        if stat.S_ISREG(known.st_mode) and (not os.path.islink(full) or _is_in(os.path.realpath(full), real)):
            yield Entry(path, known.st_size, datetime.fromtimestamp(known.st_mtime, timezone.utc), str(known.st_mtime_ns))


class WebPlace:
    """A web server. Nothing lists its files: a path is one file's address behind the server's."""

    def __init__(self, origin: str) -> None:
        self._origin = origin.rstrip("/")
        self.name = urlsplit(origin).netloc.replace(":", "_")

    def list(self, path: str) -> list[Entry]:
        """See Place.

        Raises:
            UserErrorException: the server does not answer, or refuses.
        """
        from email.utils import parsedate_to_datetime  # slow to load

        try:
            with self._ask(path, "HEAD") as answer:
                head = answer.headers
        except FileNotFoundError:
            return []
        length = head.get("Content-Length") or ""
        changed = None
        with contextlib.suppress(TypeError, ValueError):
            changed = parsedate_to_datetime(head.get("Last-Modified") or "")
        mark = head.get("ETag") or head.get("Last-Modified") or ""
        return [Entry(path, int(length) if length.isdecimal() else -1, changed, mark)]

    def open(self, entry: Entry) -> IO[bytes]:
        """See Place. All of it is read first, so that a connection that breaks off does not look like an end."""
        kept = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
        try:
            with self._ask(entry.path, "GET") as answer:
                length = answer.headers.get("Content-Length") or ""
                copied = self._copied(entry.path, answer, kept)
            if length.isdecimal() and int(length) != copied:
                raise UserErrorException(f"{self._origin}/{entry.path} broke off after {copied} of {length} bytes. Try again.")
        except BaseException:
            kept.close()
            raise
        kept.seek(0)
        return kept

    def _copied(self, path: str, answer: IO[bytes], kept: IO[bytes]) -> int:
        from http.client import HTTPException

        try:
            return _copied(answer, kept)
        except (OSError, HTTPException) as error:
            raise UserErrorException(f"{self._origin}/{path} broke off ({error!r}). Try again.") from error

    def _ask(self, path: str, method: str) -> Any:
        from urllib.request import Request, urlopen  # slow to load

        address = f"{self._origin}/{path}"
        for pause in (*_PAUSES, None):
            try:
                request = Request(address, method=method, headers={"Accept-Encoding": "identity", "User-Agent": "mlflows"})
                return urlopen(request, timeout=WEB_SECONDS)
            except HTTPError as error:
                error.close()
                if error.code in (404, 410):
                    raise FileNotFoundError(address) from None
                if method == "HEAD" and error.code in (405, 501):
                    method = "GET"
                    continue
                if error.code < 500 or pause is None:
                    raise UserErrorException(f"{address}: the server answered {error.code} {error.reason}.") from None
            except (URLError, OSError) as error:
                if pause is None:
                    raise UserErrorException(f"{address}: no answer from the server ({getattr(error, 'reason', error)}).") from error
            if pause:
                time.sleep(pause)
        raise UserErrorException(f"{address}: the server answers neither HEAD nor GET.")


def of_datastore(datastore: Any) -> Place:
    """The place that a datastore is.

    Raises:
        UserErrorException: files of this kind of datastore cannot be listed.
    """
    own = getattr(datastore, "_place", None)
    if own is not None:
        place: Place = own()
        return place
    root = getattr(datastore, "root", None)
    if root is None:
        raise UserErrorException(f"datastore {datastore.name!r}: its files cannot be listed. Datasets need a folder or S3.")
    return FolderPlace(root, datastore.name)


def fetch(place: Place, entry: Entry, folder: str, name: str, mode: int = 0o644) -> str:
    """Copy a file into a folder under a name, which may have folders in it; its path there.

    It is there whole or not at all. Raises:
        UserErrorException: the name leads out of the folder; the size is not that of the listing.
        FileNotFoundError: it is not there any more.
    """
    target = target_of(folder, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not _is_in(os.path.realpath(os.path.dirname(target)), os.path.realpath(folder)):
        raise UserErrorException(f"{name!r} would be written through a link out of {folder}. Remove the link, or choose another folder.")
    part = f"{target[: -len(os.path.basename(target))]}.{os.urandom(6).hex()}.part"
    try:
        with place.open(entry) as source, open(part, "xb") as sink:
            copied = _copied(source, sink)
        if entry.size not in (-1, copied):
            raise UserErrorException(
                f"{entry.path!r} of {place.name}: {copied} bytes were read, {entry.size} listed: it was changed. Try again."
            )
        os.chmod(part, mode)
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise
    return target


def target_of(folder: str, name: str) -> str:
    """Where fetch writes.

    Raises:
        UserErrorException: the name leads out of the folder, or is none.
    """
    relative = globs.inside("name", name)
    if not relative:
        raise UserErrorException(f"{name!r} is not the name of a file.")
    return os.path.join(folder, relative)


def _copied(source: IO[bytes], sink: IO[bytes]) -> int:
    total = 0
    while block := source.read(_BLOCK):
        sink.write(block)
        total += len(block)
    return total


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
