"""What a datastore's files are kept in, whatever it is, and the paths in it.

A store fetches a file whole or not at all: under its name nobody ever sees half of it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from mlflows.exceptions import AzureMLException, ServiceException, UserErrorException

PATIENCE_VARIABLE = "MLFLOWS_TRANSFER_PATIENCE"
"""Seconds for which a transfer goes on trying while its server does not answer."""

PATIENCE_SECONDS = 120.0

LONGEST_NAME = 255
"""Bytes of one part of a path that file systems take."""

Tick = Callable[[int], None]
"""Called with the bytes moved since the last call, from any thread."""


class Changed(ServiceException):
    """The file is not the one that was listed."""


class Item(NamedTuple):
    """A file in a store.

    ``version`` changes when the content does: the ETag where there is one; empty if the store says nothing.
    """

    path: str
    size: int
    version: str


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

    def items(self, prefix: str) -> Iterator[Item]:
        """The files whose path begins with this text, in the store's own order."""

    def item(self, path: str) -> Item | None:
        """The file at this path; None if there is none."""

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """Copy a file to ``target``, whose folder is there; a file that is there is replaced.

        Raises:
            Changed: the file is no longer the one that was listed.
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
    depth, parts = 0, []
    for part in path.split("/"):
        depth += -1 if part == ".." else 1 if part not in ("", ".") else 0
        if depth < 0 or part == "..":
            raise UserErrorException(f"{field}: {path!r} leads out of {where}. Give a path without '..'.")
        if part not in ("", "."):
            parts.append(part)
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
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise UserErrorException(f"{path!r} is not a path that can be written below {root}. Rename it in the datastore, or leave it out.")
    for part in parts:
        if len(os.fsencode(part)) > LONGEST_NAME:
            raise UserErrorException(
                f"{path!r} cannot be a file: {part[:40]!r}... is longer than the {LONGEST_NAME} bytes of a file's name. Rename it in the "
                "datastore."
            )
    return os.path.join(root, *parts)


def stays_inside(root: str, folder: str) -> bool:
    """Whether a folder is below another when links are followed."""
    real_root, real = os.path.realpath(root), os.path.realpath(folder)
    return real == real_root or real.startswith(real_root.rstrip("/") + "/")


def matching(store: Store, pattern: str) -> Iterator[Item]:
    """The files that a path means, as SDK v1 reads it: a file, all below a folder, or a pattern.

    ``*`` and ``?`` stay within one part of the path, ``**`` is any number of parts.
    """
    fixed = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if fixed != pattern:
        wanted = _compiled(pattern)
        yield from (item for item in store.items(fixed) if wanted.fullmatch(item.path))
        return
    found = store.item(pattern) if pattern else None
    if found is not None:
        yield found
    yield from store.items(f"{pattern}/" if pattern else "")


def disk_error(error: OSError, target: str) -> AzureMLException:
    """What to say when a file cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserErrorException(
            f"{target}: the disk is full. Free some space; what has been fetched so far is kept and not fetched again."
        )
    return UserErrorException(f"{target} cannot be written: {error.strerror}.")


def changed(item: Item, place: str) -> Changed:
    """The error for a file that is not the one that was listed."""
    return Changed(f"{item.path} in {place} was changed or removed while it was read. Run this again, when nobody writes it.")


def _compiled(pattern: str) -> re.Pattern[str]:
    text = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        text += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(text, re.DOTALL)
