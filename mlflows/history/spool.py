"""Reading of ``events/*.jsonl``: whole lines only, from a byte offset on, while somebody else appends."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

CHUNK = 1 << 18
_START = b'{"t"'


class Event(NamedTuple):
    """One call of the script-side Run. ``end`` is the byte offset after its line, ``rank`` the name of its file."""

    rank: str
    end: int
    body: dict[str, Any]


class SpoolFile:
    """One file, read forward.

    A line without its newline is not there yet: its writer may be in the middle of it. A line whose writer died in the middle is
    skipped; what the next writer appended right behind it is kept.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._buffer, self._position = b"", 0
        self.offset = offset
        """After the last event given out."""
        self.torn = 0
        """Bytes after it whose writer died in the middle."""

    def size(self) -> int:
        """Bytes of the file; 0 if it is not there."""
        try:
            return os.stat(self._path).st_size
        except OSError:
            return 0

    def events(self, ended: bool = False) -> Iterator[Event]:
        """What is new. ``ended``: nobody writes any more, so a last line without newline counts if it is whole."""
        while True:
            yield from self._buffered()
            if not self._fill():
                break
        if ended and self._position < len(self._buffer):
            yield from self._last()

    def _buffered(self) -> Iterator[Event]:
        while True:
            end = self._buffer.find(b"\n", self._position)
            if end < 0:
                return
            line = self._buffer[self._position : end]
            self.offset += end + 1 - self._position
            self._position = end + 1
            yield from self._parsed(line)

    def _fill(self) -> bool:
        rest = self._buffer[self._position :]
        try:
            with open(self._path, "rb") as handle:
                handle.seek(self.offset + len(rest))
                data = handle.read(CHUNK)
        except OSError:
            return False
        self._buffer, self._position = rest + data, 0
        return bool(data)

    def _last(self) -> Iterator[Event]:
        line, before = self._buffer[self._position :], self.offset
        self.offset += len(line)
        found = list(self._parsed(line))
        if found:
            self._position = len(self._buffer)
        else:
            self.offset, self.torn = before, len(line)
        yield from found

    def _parsed(self, line: bytes) -> Iterator[Event]:
        start = 0
        while start >= 0:
            try:
                body = json.loads(line[start:])
            except ValueError:  # torn: a later writer's line may be glued to it
                start = line.find(_START, start + 1)
                continue
            if isinstance(body, dict) and isinstance(body.get("e"), str):
                yield Event(self._path.name, self.offset, body)
            return


class Spool:
    """All ranks' files of a folder; new files are found while reading.

    Args:
        folder: ``events`` of a job folder.
        offsets: where to go on, by file name.
    """

    def __init__(self, folder: Path, offsets: dict[str, int] | None = None) -> None:
        self._folder = folder
        self._from = dict(offsets or {})
        self._files: dict[str, SpoolFile] = {}

    def events(self, ended: bool = False) -> Iterator[Event]:
        """What is new, file by file. Stop where you like: the rest comes with the next call."""
        self._find()
        for file in self._files.values():
            yield from file.events(ended)

    def offsets(self) -> dict[str, int]:
        """After the last events given out, by file name."""
        return {name: file.offset for name, file in self._files.items()}

    def unread(self) -> int:
        """Bytes not given out yet."""
        self._find()
        return sum(max(0, file.size() - file.offset - file.torn) for file in self._files.values())

    def look(self) -> tuple[int, ...]:
        """Changes whenever something was written: the folder's time of change and the sizes of the files known so far."""
        try:
            changed = os.stat(self._folder).st_mtime_ns
        except OSError:
            changed = 0
        return changed, *(file.size() for file in list(self._files.values()))

    def _find(self) -> None:
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(".jsonl"))
        except OSError:
            return
        for name in names:
            if name not in self._files:
                self._files[name] = SpoolFile(self._folder / name, self._from.get(name, 0))
