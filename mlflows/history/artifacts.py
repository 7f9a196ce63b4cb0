"""A run's artifacts: through the MLflow server's own proxy by plain HTTP; any other place through the mlflow library."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urlsplit

from mlflows.history.tracking import NotFound, Tracking, TrackingError, translated

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
_CHUNK = 1 << 20


class ArtifactFile(NamedTuple):
    """Path relative to the run's artifacts, and bytes."""

    path: str
    size: int


class Artifacts:
    """The artifacts of one run.

    Args:
        tracking: the MLflow server.
        mlflow_run_id: the run.
        artifact_uri: where MLflow keeps them.
    """

    def __init__(self, tracking: Tracking, mlflow_run_id: str, artifact_uri: str) -> None:
        self._tracking = tracking
        self._run_id = mlflow_run_id
        self.uri = artifact_uri.rstrip("/")
        parts = urlsplit(self.uri)
        proxied = parts.scheme == "mlflow-artifacts" and parts.netloc in ("", urlsplit(tracking.uri).netloc)
        self._proxy = f"{PROXY}/{quote(parts.path.lstrip('/'))}" if proxied else None

    def files(self, prefix: str = "") -> Iterator[ArtifactFile]:
        """All files at or below ``prefix`` (a folder), by name."""
        folders = [prefix.strip("/")]
        while folders:
            folder = folders.pop()
            for entry in self._listed(folder):
                if entry.get("is_dir"):
                    folders.append(entry["path"])
                elif entry["path"] != folder:
                    yield ArtifactFile(entry["path"], int(entry.get("file_size") or 0))

    def upload(self, source: Path, artifact: str) -> None:
        """Store a file; one of that name is replaced. A file that grows meanwhile is stored as long as it was at first.

        Raises:
            OSError: it cannot be read.
            TrackingUnreachable: also where it shrank while it was sent.
        """
        if self._proxy is None:
            self._upload_by_library(source, artifact)
            return
        with open(source, "rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            if size <= _CHUNK:
                self._put(artifact, handle.read(size))
            else:
                self._put(artifact, _Exactly(handle, size), {"Content-Length": str(size)})

    def write(self, artifact: str, data: bytes) -> None:
        """Store bytes."""
        if self._proxy is not None:
            self._put(artifact, data)
            return
        with _scratch() as folder:
            path = Path(folder, "data")
            path.write_bytes(data)
            self._upload_by_library(path, artifact)

    def read(self, artifact: str) -> bytes:
        """The bytes of a file.

        Raises:
            NotFound: there is none.
        """
        if self._proxy is None:
            with _scratch() as folder:
                self.download(artifact, Path(folder, "data"))
                return Path(folder, "data").read_bytes()
        with translated(self._tracking.uri):
            return self._tracking.rest.raw("GET", self._address(artifact))

    def read_from(self, artifact: str, offset: int) -> bytes:
        """The bytes of a file from ``offset`` on; none if it is not longer, or not there."""
        try:
            if self._proxy is None:
                return self.read(artifact)[offset:]
            with translated(self._tracking.uri):
                response = self._tracking.rest.open("GET", self._address(artifact), headers={"Range": f"bytes={offset}-"})
                data = self._tracking.rest.read(response)
            return data if response.status == 206 else data[offset:]
        except NotFound:
            return b""
        except TrackingError as error:
            if error.status == 416:  # nothing beyond the offset
                return b""
            raise

    def download(self, artifact: str, target: Path) -> None:
        """Store a file's bytes at ``target``; under a temporary name until it is whole.

        Raises:
            NotFound: there is none.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            if self._proxy is None:
                self._download_by_library(artifact, temporary)
            else:
                self._stream(artifact, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def link(self, artifact: str) -> str:
        """An address of the file that a browser opens."""
        return f"{self._tracking.ui_url}/get-artifact?run_uuid={self._run_id}&path={quote(artifact)}"

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        query = {"run_id": self._run_id, **({"path": folder} if folder else {})}
        files: list[dict[str, Any]] = []
        while True:
            answer = self._tracking.get("artifacts/list", query)
            files += answer.get("files", [])
            if not answer.get("next_page_token"):
                return files
            query["page_token"] = answer["next_page_token"]

    def _address(self, artifact: str) -> str:
        if ".." in artifact.split("/"):
            raise NotFound(f"{artifact!r} is not a name among a run's files")
        return f"{self._proxy}/{quote(artifact)}"

    def _put(self, artifact: str, data: Any, headers: dict[str, str] = {}) -> None:
        with translated(self._tracking.uri):
            self._tracking.rest.raw("PUT", self._address(artifact), data, headers)

    def _stream(self, artifact: str, target: Path) -> None:
        rest = self._tracking.rest
        with translated(self._tracking.uri):
            response = rest.open("GET", self._address(artifact))
            try:
                with open(target, "wb") as handle:
                    while data := rest.read(response, _CHUNK):
                        handle.write(data)
            except BaseException:
                rest.close()  # the rest of the answer would be taken for the next one
                raise

    def _upload_by_library(self, source: Path, artifact: str) -> None:
        folder, name = posixpath.split(artifact)
        with _scratch() as temporary:
            link = Path(temporary, name)  # the library names an artifact after its file
            link.symlink_to(source.absolute())
            _repository(self._tracking, self.uri).log_artifact(str(link), folder or None)

    def _download_by_library(self, artifact: str, target: Path) -> None:
        with _scratch() as temporary:
            try:
                found = _repository(self._tracking, self.uri).download_artifacts(artifact, temporary)
            except (OSError, ImportError):
                raise
            except Exception as error:  # each kind of store has its own
                raise NotFound(f"Artifact {artifact!r} could not be read from {self.uri}: {error}") from error
            import shutil

            shutil.move(found, target)


class _Exactly:
    """A file for http.client, of a fixed length whatever happens to it meanwhile."""

    def __init__(self, handle: IO[bytes], size: int) -> None:
        self._handle = handle
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._handle.read(wanted)
        if wanted and not data:
            raise OSError(f"{self._handle.name} became shorter while it was uploaded")
        self._left -= len(data)
        return data


def _scratch() -> AbstractContextManager[str]:
    import tempfile  # 10 ms, for stores that only the library reaches

    return tempfile.TemporaryDirectory()


def _repository(tracking: Tracking, uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking.uri)
