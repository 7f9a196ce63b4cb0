"""A run's log, line by line, in Prefect while it runs: bounded, with a pointer to the whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from mlflows.job import layout

POLL_SECONDS = 0.5
MOST_LINES = 1000
"""Prefect keeps log lines in its database; past this many the file is the place to read."""
LONGEST_LINE = 4000


@contextlib.asynccontextmanager
async def forwarded(folder: Path, logger: logging.Logger | logging.LoggerAdapter[Any]) -> AsyncIterator[None]:
    """While the body runs, what the script prints appears in the flow run's log."""
    forwarder = _Forwarder(folder / layout.USER_LOGS / layout.STD_LOG, logger)
    task = asyncio.create_task(forwarder.follow())
    try:
        yield
    finally:
        task.cancel()
        forwarder.step(final=True)


class _Forwarder:
    def __init__(self, path: Path, logger: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self._path = path
        self._logger = logger
        self._offset = 0
        self._left = MOST_LINES

    async def follow(self) -> None:
        while self._left > 0:
            await asyncio.sleep(POLL_SECONDS)
            self.step()

    def step(self, final: bool = False) -> None:
        """Forward the whole lines that are new; at the end also a last one without newline."""
        if self._left <= 0:
            return
        try:
            with self._path.open("rb") as handle:
                handle.seek(self._offset)
                data = handle.read(1 << 20)
        except FileNotFoundError:
            return
        whole = len(data) if final else data.rfind(b"\n") + 1
        self._offset += whole
        for line in data[:whole].decode("utf-8", "replace").splitlines():
            self._forward(line)

    def _forward(self, line: str) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        # a progress bar's line is what it shows at last
        self._logger.info("%s", line.rpartition("\r")[2][:LONGEST_LINE])
        if self._left == 0:
            self._logger.info("... the first %d lines; the whole log is %s, an artifact of the MLflow run", MOST_LINES, layout.STD_LOG)
