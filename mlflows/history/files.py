"""A run's files and logs, from outside the job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlflows.exceptions import UserErrorException
from mlflows.history import describe, limits
from mlflows.history.base import BaseRun
from mlflows.history.tracking import NotFound


class Files(BaseRun):
    """The half of Run that is about files."""

    def get_file_names(self) -> list[str]:
        """Names of the run's files."""
        return describe.file_names(self._artifacts())

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:
        """Store a file, or what a stream gives, as the run's file ``name``.

        Raises:
            UserErrorException: no such file, a name that leads out of the run's files, or the run has a file of that name.
        """
        artifact = _checked_name(name)
        from mlflows.history import models

        if models.exists(self._artifacts(), artifact):
            raise UserErrorException(
                f"Resource Conflict: ArtifactId {artifact} already exists in run {self.id}. "
                "Files of a run are not replaced: use another name"
            )
        if hasattr(path_or_stream, "read"):
            self._upload_stream(artifact, path_or_stream)
            return
        path = Path(os.fspath(path_or_stream))
        if not path.is_file():
            kind = "a folder; use run.upload_folder" if path.is_dir() else "not there"
            raise UserErrorException(f"File {str(path)!r} for {name!r} is {kind} (working directory {os.getcwd()})")
        self._artifacts().upload(path, artifact)

    def upload_folder(self, name: str, path: str, datastore_name: str | None = None) -> None:
        """Every file below ``path``, as ``name/<relative path>``.

        Raises:
            UserErrorException: as upload_file; no such folder.
        """
        root = Path(path)
        if not root.is_dir():
            raise UserErrorException(f"Folder {str(path)!r} for {name!r} is not there (working directory {os.getcwd()})")
        for file in sorted(found for found in root.rglob("*") if found.is_file()):
            self.upload_file(f"{name}/{file.relative_to(root).as_posix()}", file)

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,
        datastore_name: str | None = None,
    ) -> None:
        """``paths[i]`` as ``names[i]``.

        Raises:
            TypeError: the lists differ in length.
            UserErrorException: as upload_file.
        """
        names, paths = list(names), list(paths)
        if len(names) != len(paths):
            raise TypeError(f"upload_files: {len(names)} names for {len(paths)} paths")
        for name, path in zip(names, paths, strict=True):
            self.upload_file(name, path)

    def download_file(self, name: str, output_file_path: str | os.PathLike[str] | None = None, _validate_checksum: bool = False) -> None:
        """Fetch one file; into the working directory, to a path, or into an existing directory under its own name.

        Raises:
            UserErrorException: the run has no such file; its files are named.
        """
        base = str(name).rpartition("/")[2]
        target = Path(output_file_path or base)
        if target.is_dir():
            target = target / base
        self._download(str(name), target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
    ) -> None:
        """Fetch all files whose names start with ``prefix``.

        Args:
            prefix: beginning of the names; none: all files.
            output_directory: where to; the working directory if none.
            output_paths: instead, a path for each file, in the order of get_file_names.
            batch_size: kept for compatibility.
            append_prefix: False leaves the prefix out of the paths.
            timeout_seconds: kept for compatibility.

        Raises:
            UserErrorException: ``output_paths`` has another number of paths than there are files.
        """
        prefix = (prefix or "").removeprefix("./")
        wanted = [name for name in self.get_file_names() if name.startswith(prefix)]
        if output_paths is not None:
            if len(output_paths) != len(wanted):
                raise UserErrorException(f"output_paths has {len(output_paths)} paths for {len(wanted)} files: {', '.join(wanted[:20])}")
            for name, path in zip(wanted, output_paths, strict=True):
                self._download(name, Path(path))
            return
        for name in wanted:
            kept = name if append_prefix or not prefix else name[len(prefix) :].lstrip("/") or name.rpartition("/")[2]
            self._download(name, Path(output_directory or ".") / kept)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Fetch all logs; the paths written.

        Args:
            destination: folder; ``assets/logs/<run id>`` if none.

        Raises:
            UserErrorException: the destination is a file.
        """
        folder = Path(destination) if destination else Path("assets", "logs", self.id)
        if folder.is_file():
            raise UserErrorException(f"destination {str(folder)!r} is a file; a folder is needed")
        written = []
        for name in describe.log_files(self._artifacts()):
            self._download(name, folder / name)
            written.append(str(folder / name))
        return written

    def _download(self, name: str, target: Path) -> None:
        try:
            self._artifacts().download(describe.log_name(name), target)
        except NotFound as error:
            raise UserErrorException(
                f"File with path {name!r} was not found in run {self.id}. "
                f"Available files: {', '.join(self.get_file_names()[:50]) or 'none'}"
            ) from error

    def _upload_stream(self, artifact: str, stream: Any) -> None:
        import tempfile  # 10 ms

        with tempfile.NamedTemporaryFile() as temporary:
            while chunk := stream.read(1 << 20):
                temporary.write(chunk.encode() if isinstance(chunk, str) else chunk)
            temporary.flush()
            self._artifacts().upload(Path(temporary.name), artifact)


def _checked_name(name: str) -> str:
    text = os.fspath(name).replace("\\", "/")
    if not text or text.startswith("/") or ".." in text.split("/"):
        raise UserErrorException(f"The name {name!r} is not a relative path within the run's files: use one like 'outputs/model.pkl'")
    return limits.artifact_of(text)
