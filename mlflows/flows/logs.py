"""A run's log, line by line, in Prefect while it runs: bounded, with a pointer to the whole."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mlflows.job import layout

POLL_SECONDS = 0.5
MOST_LINES = 1000
"""Prefect keeps log lines in its database; past this many the file is the place to read."""
LONGEST_LINE = 4000
PLACE_FILE = "forwarded.txt"
"""In the job folder: how far Prefect has the log (bytes), and how many lines more it gets. Locked by the flow that forwards."""


@contextlib.asynccontextmanager
async def forwarded(folder: Path, logger: logging.Logger | logging.LoggerAdapter[Any]) -> AsyncIterator[None]:
    """While the body runs, what the script prints appears in the flow run's log: each line once, whoever drives the run.

    A flow that goes on where another one was killed skips what that one had handed to Prefect's client, which sends every 2 s.
    """
    with _Place(folder / PLACE_FILE) as place:
        forwarder = _Forwarder(folder / layout.USER_LOGS / layout.STD_LOG, logger, place)
        task = asyncio.create_task(forwarder.follow())
        try:
            yield
        finally:
            task.cancel()
            forwarder.step(final=True)


class _Place:
    """How far the log has been forwarded, kept for the flow that comes after this one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._locked = False
        self.offset = 0
        self.left = MOST_LINES

    def __enter__(self) -> _Place:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def mine(self) -> bool:
        """Whether this flow is the one that forwards: the first, and after its end the next."""
        if not self._locked:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._locked = True
                self._read()
        return self._locked

    def _read(self) -> None:
        numbers = os.pread(self._descriptor, 100, 0).split()
        if len(numbers) == 2:
            self.offset, self.left = int(numbers[0]), int(numbers[1])

    def write(self) -> None:
        """In one piece, of one length: there is never half of it."""
        with contextlib.suppress(OSError):  # a full disk: the next flow forwards some lines again
            os.pwrite(self._descriptor, b"%20d %10d\n" % (self.offset, self.left), 0)


class _Forwarder:
    def __init__(self, path: Path, logger: logging.Logger | logging.LoggerAdapter[Any], place: _Place) -> None:
        self._path = path
        self._logger = logger
        self._place = place

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self.step()

    def step(self, final: bool = False) -> None:
        """Forward the whole lines that are new; at the end also a last one without newline."""
        if not self._place.mine() or self._place.left <= 0:
            return
        try:
            with self._path.open("rb") as handle:
                handle.seek(self._place.offset)
                data = handle.read(1 << 20)
        except FileNotFoundError:
            return
        whole = len(data) if final else data.rfind(b"\n") + 1
        if not whole:
            return
        for line in data[:whole].decode("utf-8", "replace").removesuffix("\n").split("\n"):
            self._forward(line)
        self._place.offset += whole
        self._place.write()

    def _forward(self, line: str) -> None:
        if self._place.left <= 0:
            return
        self._place.left -= 1
        # a progress bar's line is what it shows at last
        self._logger.info("%s", line.rstrip("\r").rpartition("\r")[2][:LONGEST_LINE])
        if self._place.left == 0:
            self._logger.info("... the first %d lines; the whole log is %s, an artifact of the MLflow run", MOST_LINES, layout.STD_LOG)
