"""What the last snapshot of a source directory found, so that the next one reads only what changed.

One file per source directory, on this machine: a JSON header line that is enough when nothing changed at all, then the known files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mlflows import settings
from mlflows.data.tree import Entry

RACY_NANOSECONDS = 2_000_000_000
"""A file written this shortly before it was looked at may be written again without a new time stamp (FAT: 2 s): it is read next time."""

FORMAT = 1


class Index(NamedTuple):
    """The index of one source directory.

    ``fingerprint`` is that of the whole tree, empty if a file in it was too young to be trusted. ``snapshot``, ``files`` and ``bytes``
    are what it became; ``offset`` is where the known files begin. ``known`` maps a path to [size, mtime, ctime, inode, sha256].
    """

    path: str
    fingerprint: str = ""
    snapshot: str = ""
    files: int = 0
    bytes: int = 0
    offset: int = 0

    def known(self) -> dict[str, list[Any]]:
        """The known files; empty if there are none or the file is damaged."""
        if not self.offset:
            return {}
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self.offset)
                known = json.loads(handle.read())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def load(source: str) -> Index:
    """The index of a source directory; an empty one if there is none."""
    path = os.path.join(settings.home(), "snapshot_index", hashlib.sha256(os.fsencode(source)).hexdigest()[:32])
    try:
        with open(path, "rb") as handle:
            line = handle.readline()
        header = json.loads(line)
        if header["format"] == FORMAT:
            return Index(path, header["fingerprint"], header["snapshot"], header["files"], header["bytes"], len(line))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return Index(path)


def save(index: Index, known: Mapping[str, list[Any]]) -> None:
    """Replace the index. One that cannot be written costs time at the next snapshot, and nothing else."""
    header = {
        "format": FORMAT,
        "fingerprint": index.fingerprint,
        "snapshot": index.snapshot,
        "files": index.files,
        "bytes": index.bytes,
    }
    temporary = f"{index.path}.{os.getpid()}.tmp"
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(index.path), exist_ok=True)
        with open(temporary, "w", encoding="ascii") as handle:
            handle.write(json.dumps(header) + "\n" + json.dumps(known))
        os.replace(temporary, index.path)


def is_young(entry: Entry, looked_at: int) -> bool:
    """Whether a file seen at this time (nanoseconds) may still change unseen."""
    return max(entry[3], entry[4]) > looked_at - RACY_NANOSECONDS


def any_young(entries: Iterable[Entry], looked_at: int) -> bool:
    """is_young, of any."""
    limit = looked_at - RACY_NANOSECONDS
    return any(entry[3] > limit or entry[4] > limit for entry in entries)
