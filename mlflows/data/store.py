"""What a datastore's files are kept in, whatever it is, and the paths in it.

A store fetches a file whole or not at all: under its name nobody ever sees half of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple, Protocol

from mlflows.data import globs
from mlflows.exceptions import AzureMLException, ServiceException, UserErrorException

PATIENCE_VARIABLE = "MLFLOWS_TRANSFER_PATIENCE"
"""Seconds for which a transfer goes on trying while its server does not answer."""

PATIENCE_SECONDS = 120.0

LONGEST_NAME = 255
"""Bytes of one part of a path that file systems take."""

OWN_FOLDER = ".mlflows"
"""What this package itself keeps in a store; whoever asks for everything does not get it."""

UNKNOWN = -1
"""The size of a file whose server does not say it."""

Tick = Callable[[int], None]
"""Called with the bytes moved since the last call, from any thread."""


class Changed(ServiceException):
    """The file is not the one that was listed."""


class Gone(Changed):
    """The file was listed, and is not there any more."""


class Item(NamedTuple):
    """A file in a store.

    Attributes:
        path: in the store, without a slash in front.
        size: bytes; UNKNOWN if the store does not say.
        version: changes when the content does: the ETag where there is one; empty if the store says nothing.
        changed: when it was written last, with its zone; None if the store does not say. It decides nothing: a copy has another.
    """

    path: str
    size: int
    version: str
    changed: datetime | None = None


class Store(Protocol):
    """Files by path. Paths have no leading slash.

    Every method raises AuthenticationException for refused credentials, UserErrorException for what does not exist, ServiceException
    when the server does not answer for ``patience`` seconds.
    """

    @property
    def place(self) -> str:
        """What an error calls it."""

    @property
    def parallel(self) -> int:
        """How many files are worth moving at once."""

    @property
    def folder(self) -> str | None:
        """The folder on this machine where its files are; None if they have to be fetched."""

    def items(self, prefix: str) -> Iterator[Item]:
        """The files whose path begins with this text, in the store's own order."""

    def item(self, path: str) -> Item | None:
        """The file at this path; None if there is none."""

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """Copy a file to ``target``, whose folder is there; a file that is there is replaced.

        Raises:
            Changed: the file is no longer the one that was listed; Gone if there is none.
        """

    def put(self, source: str, path: str, tick: Tick) -> None:
        """Copy a file into the store; one that is there is replaced."""


def patience() -> float:
    """Seconds for which a transfer waits for a server that does not answer.

    Raises:
        UserErrorException: the variable is no number.
    """
    value = os.environ.get(PATIENCE_VARIABLE)
    if not value:
        return PATIENCE_SECONDS
    try:
        return max(float(value), 0.0)
    except ValueError:
        raise UserErrorException(f"{PATIENCE_VARIABLE}: {value!r} is not a number of seconds.") from None


def checked_path(field: str, path: object, where: str) -> str:
    """A person's path in a store, in its plain form: no leading, trailing or doubled slash, no ``.``.

    Raises:
        UserErrorException: no string, or it leads out.
    """
    if not isinstance(path, str):
        raise UserErrorException(f"{field}: expected a path in the datastore, got {path!r}.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UserErrorException(f"{field}: {path!r} leads out of {where}. Give a path without '..'.")
    return "/".join(parts)


def checked_prefix(field: str, prefix: object, where: str) -> str:
    """As checked_path, of what is a beginning of paths: a slash at its end stays."""
    path = checked_path(field, prefix, where)
    return f"{path}/" if path and str(prefix).endswith("/") else path


def local_path(root: str, path: str) -> str:
    """Where a file of a store goes below a folder.

    Raises:
        UserErrorException: it would leave the folder, or no file system can have the name.
    """
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts) or not _can_be_written(path):
        raise UserErrorException(f"{path!r} is not a path that can be written below {root}. Rename it in the datastore, or leave it out.")
    for part in parts:
        if len(os.fsencode(part)) > LONGEST_NAME:
            raise UserErrorException(
                f"{path!r} cannot be a file: {part[:40]!r}... is longer than the {LONGEST_NAME} bytes of a file's name. Rename it in the "
                "datastore."
            )
    return os.path.join(root, *parts)


def _can_be_written(path: str) -> bool:
    with contextlib.suppress(UnicodeEncodeError):
        return bool(os.fsencode(path))
    return False


def stays_inside(root: str, folder: str) -> bool:
    """Whether a folder is below another when links are followed."""
    real_root, real = os.path.realpath(root), os.path.realpath(folder)
    return real == real_root or real.startswith(real_root.rstrip("/") + "/")


def matching(store: Store, pattern: str) -> list[Item]:
    """The files that a path means, by path: a file, all below a folder, or what matches a pattern of globs.py.

    A file or folder whose name looks like a pattern is meant itself. What this package keeps is not meant by everything.

    Raises:
        UserErrorException: the path leads out of the store.
    """
    path = globs.inside("path", pattern)
    if globs.has_pattern(path):
        listed = [item for item in store.items(globs.beginning(path)) if _is_meant(item.path, path)]
        itself = [item for item in listed if item.path == path or item.path.startswith(f"{path}/")]
        found = itself or [item for item in listed if globs.matches(path, item.path)]
    else:
        found = _exactly(store, path)
    return sorted(found, key=lambda item: item.path)


def _exactly(store: Store, path: str) -> list[Item]:
    """An empty object beside a folder of its name is how some tools write down the folder."""
    found = store.item(path) if path else None
    if found is not None and found.size:
        return [found]
    below = [item for item in store.items(f"{path}/" if path else "") if _is_meant(item.path, path)]
    return below or ([] if found is None else [found])


def _is_meant(path: str, wanted: str) -> bool:
    return not path.startswith(f"{OWN_FOLDER}/") or wanted.startswith(OWN_FOLDER)


def disk_error(error: OSError, target: str) -> AzureMLException:
    """What to say when a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserErrorException(
            f"{target}: the disk is full. Free some space; what has been fetched so far is kept and not fetched again."
        )
    return UserErrorException(f"{target} cannot be written: {error.strerror}.")


def readable_size(source: str) -> int:
    """Bytes of a file that is to be put into a store. Found out first: from within, the error would look like one of the store.

    Raises:
        UserErrorException: it cannot be read.
    """
    try:
        with open(source, "rb") as handle:
            return os.fstat(handle.fileno()).st_size
    except OSError as error:
        raise UserErrorException(f"{source} cannot be read: {error.strerror}.") from error


def changed(item: Item, place: str) -> Changed:
    """The error for a file that is not the one that was listed."""
    return Changed(_CHANGED.format(item.path, place))


def gone(item: Item, place: str) -> Gone:
    """The error for a file that is there no more."""
    return Gone(_CHANGED.format(item.path, place))


_CHANGED = "{} in {} was changed or removed while it was read. Run this again, when nobody writes it."
