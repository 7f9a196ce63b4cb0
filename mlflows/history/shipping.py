"""The files of a job folder on their way to the run's artifacts: logs while it runs, outputs when it has ended."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mlflows.history import limits
from mlflows.history.artifacts import Artifacts
from mlflows.job import layout

PATIENCE = 20
"""A log that took a second to upload is uploaded again after twenty, so that a huge one does not take the server for itself."""


class LocalFile(NamedTuple):
    """A file and the artifact it becomes."""

    path: Path
    artifact: str


class Shipper:
    """Uploads what has changed since it was uploaded last.

    Args:
        artifacts: of the run.
        folder: the job folder.
        sent: what was uploaded earlier: artifact -> [size, modified in ns].
        watched: folders in ``code`` that are uploaded while the run goes on.
        outputs: whether ``code/outputs`` is uploaded at the end.
    """

    def __init__(
        self, artifacts: Artifacts, folder: Path, sent: dict[str, list[int]], watched: Sequence[str] = (layout.LOGS,), outputs: bool = True
    ) -> None:
        self._artifacts = artifacts
        self._folder = folder
        self._watched = [name for name in watched if not os.path.isabs(name) and ".." not in Path(name).parts]
        self._outputs = outputs
        self._not_before: dict[str, float] = {}
        self.sent = sent
        self.skipped: set[str] = set()
        """Files that are not uploaded: links that leave the job folder, and what could not be read."""

    def running(self) -> Iterator[LocalFile]:
        """Logs that have changed and are due, to be uploaded now."""
        now = time.monotonic()
        for file in self._logs():
            if self._changed(file) and self._not_before.get(file.artifact, 0.0) <= now and os.path.getsize(file.path):
                yield file

    def ended(self) -> Iterator[LocalFile]:
        """All logs and outputs that have changed."""
        for file in self._logs():
            if self._changed(file) and (os.path.getsize(file.path) or file.path.name == layout.STD_LOG):
                yield file
        if self._outputs:
            yield from filter(self._changed, self._walk(self._folder / layout.CODE / layout.OUTPUTS, layout.OUTPUTS))

    def upload(self, file: LocalFile) -> None:
        """Upload one file; one that cannot be read is skipped.

        Raises:
            TrackingError: the server refused it, or gives no answer.
        """
        began = time.monotonic()
        signature = _signature(file.path)
        try:
            self._artifacts.upload(file.path, file.artifact)
        except OSError:
            self.skipped.add(file.artifact)
            return
        if signature is not None:
            self.sent[file.artifact] = signature
        self._not_before[file.artifact] = time.monotonic() + PATIENCE * (time.monotonic() - began)

    def _logs(self) -> Iterator[LocalFile]:
        for name in (layout.USER_LOGS, layout.BUILD_LOGS):
            yield from self._walk(self._folder / name, name)
        for file in self._walk(self._folder / layout.SYSTEM_LOGS, layout.SYSTEM_LOGS):
            if file.path.suffix in (".log", ".txt"):
                yield file
        for name in self._watched:
            yield from self._walk(self._folder / layout.CODE / name, name)

    def _walk(self, root: Path, prefix: str) -> Iterator[LocalFile]:
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                artifact = limits.artifact_of(f"{prefix}/{path.relative_to(root).as_posix()}")
                if not path.is_symlink() or self._inside(path):
                    yield LocalFile(path, artifact)
                else:
                    self.skipped.add(artifact)

    def _inside(self, link: Path) -> bool:
        real = os.path.realpath(link)
        roots = (os.path.realpath(self._folder), os.path.realpath(self._folder / layout.CODE))
        return os.path.isfile(real) and any(real.startswith(root + os.sep) for root in roots)

    def _changed(self, file: LocalFile) -> bool:
        signature = _signature(file.path)
        if signature is None and file.path.exists():  # a socket or a pipe
            return False
        return signature is not None and self.sent.get(file.artifact) != signature


def _signature(path: Path) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns] if os.path.stat.S_ISREG(found.st_mode) else None  # type: ignore[attr-defined]
