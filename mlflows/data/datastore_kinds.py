"""The kinds of datastores: a folder, a bucket, whatever fsspec reaches. What they can do is the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from mlflows.data import datastore_registry as registry
from mlflows.data import transfer, workspace_file
from mlflows.data.data_reference import DataReference
from mlflows.data.local_store import LocalStore
from mlflows.data.partial import is_partial
from mlflows.data.s3_store import S3Settings, S3Store
from mlflows.data.store import OWN_FOLDER, Item, Store, checked_path, checked_prefix
from mlflows.data.url_store import UrlSettings, UrlStore, shown
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient

if TYPE_CHECKING:
    from _typeshed import StrPath

DEFAULT_NAME = "workspaceblobstore"
"""SDK v1's name of the datastore that a workspace has from the start."""

LOCAL_FOLDER, S3, URL = "LocalFolder", "S3", "Url"


class HasName(Protocol):
    """What a datastore needs of its workspace."""

    @property
    def name(self) -> str:
        """The workspace's name."""


class AbstractDatastore:
    """A place for files, known to a workspace by a name."""

    def __init__(self, workspace: HasName, name: str, datastore_type: str) -> None:
        self._workspace = workspace
        self._name = name
        self._datastore_type = datastore_type

    @property
    def workspace(self) -> HasName:
        """The workspace it belongs to."""
        return self._workspace

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def datastore_type(self) -> str:
        """Its kind: ``LocalFolder``, ``S3``, ``Url``."""
        return self._datastore_type

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """A reference to a path in it; to all of it without a path."""
        return DataReference(self, path_on_datastore=path, data_reference_name=data_reference_name)

    def as_mount(self) -> DataReference:
        """A reference to all of it, mounted."""
        return self.path().as_mount()

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """A reference to all of it, copied to where the script runs."""
        return self.path().as_download(path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> DataReference:
        """A reference to all of it, to which what the script writes is copied."""
        return self.path().as_upload(path_on_compute)

    def set_as_default(self) -> None:
        """Make it the workspace's default, for whoever works on this machine."""
        with workspace_file.changing(self._workspace.name) as record:
            record["default_datastore"] = self._name

    def unregister(self) -> None:
        """Forget it; its files stay.

        Raises:
            UserErrorException: it is the one that every workspace has.
        """
        if self._name == DEFAULT_NAME:
            raise UserErrorException(f"The datastore {DEFAULT_NAME!r} cannot be unregistered: every workspace has it.")
        registry.unregister(prefect_of(self._workspace), self._workspace.name, self._name)
        if workspace_file.read(self._workspace.name).get("default_datastore") == self._name:
            with workspace_file.changing(self._workspace.name) as record:
                record.pop("default_datastore", None)

    @property
    def account_name(self) -> str:
        """SDK v1's storage account: who keeps the files."""
        raise NotImplementedError

    @property
    def container_name(self) -> str:
        """SDK v1's blob container: what the files are in."""
        raise NotImplementedError

    @property
    def account_key(self) -> str:
        """Empty: keys are not handed out."""
        return ""

    def _store(self) -> Store:
        """Its files."""
        raise NotImplementedError

    def upload(
        self, src_dir: StrPath, target_path: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> DataReference:
        """Copy all files of a folder into the datastore.

        Args:
            src_dir: the folder.
            target_path: path in the datastore; its root if none.
            overwrite: replace files that are there; else they are skipped.
            show_progress: print each file.

        Returns:
            A reference to ``target_path``.

        Raises:
            UserErrorException: ``src_dir`` is no folder; ``target_path`` leads out of the datastore; a bucket or file is missing; a disk
                is full.
            AuthenticationException: the server refuses the keys.
            ServiceException: the server does not answer, or the file changes meanwhile.
        """
        source = checked_folder("src_dir", src_dir)
        target = checked_path("target_path", target_path or "", f"the datastore {self._name!r}")
        files = [(path, _joined(target, os.path.relpath(path, source))) for path in _files_below(source)]
        self._send(files, target, overwrite, show_progress)
        return self.path(target_path)

    def upload_files(
        self,
        files: Sequence[StrPath],
        relative_root: StrPath | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Copy some files into the datastore.

        Args:
            files: their paths.
            relative_root: what is below it of a path is kept in the datastore; without it only the file names are.
            target_path: path in the datastore; its root if none.
            overwrite: replace files that are there; else they are skipped.
            show_progress: print each file.

        Returns:
            A reference to ``target_path``.

        Raises:
            UserErrorException: a file does not exist or is not below ``relative_root``; two would land on one path; ``target_path``
                leads out of the datastore.
        """
        if isinstance(files, (str, bytes, os.PathLike)) or not isinstance(files, Iterable):
            raise UserErrorException(f"files: expected a list of paths, got {files!r}. Write [{files!r}] for one.")
        root = None if relative_root is None else checked_folder("relative_root", relative_root)
        target = checked_path("target_path", target_path or "", f"the datastore {self._name!r}")
        pairs = [(_file(path), _joined(target, _kept_part(path, root))) for path in files]
        _refuse_twins(pairs)
        self._send(pairs, target, overwrite, show_progress)
        return self.path(target_path)

    def download(self, target_path: StrPath, prefix: str | None = None, overwrite: bool = False, show_progress: bool = True) -> int:
        """Copy files out of the datastore; their paths in it are kept.

        Args:
            target_path: folder to copy to; made if it is not there.
            prefix: only files whose path in the datastore is this or begins with it.
            overwrite: replace files that are there; else they are skipped.
            show_progress: print each file.

        Returns:
            The number of files found.

        Raises:
            UserErrorException: ``target_path`` is not a folder; ``prefix`` leads out of the datastore.
        """
        if not isinstance(target_path, (str, os.PathLike)) or os.path.isfile(target_path):
            raise UserErrorException(f"target_path: {target_path!r} is not a folder. Give a folder to download to.")
        start = checked_prefix("prefix", prefix or "", f"the datastore {self._name!r}")
        return self._receive(start, os.path.abspath(target_path), overwrite, show_progress)

    def _send(self, pairs: Sequence[tuple[str, str]], folder: str, overwrite: bool, show_progress: bool) -> None:
        """Copy files (source, path) to below ``folder`` in it."""
        transfer.upload(self._store(), pairs, folder, overwrite, show_progress)

    def _receive(self, prefix: str, folder: str, overwrite: bool, show_progress: bool) -> int:
        """Copy the files below ``prefix`` to a folder of this machine; how many there are."""
        items = [item for item in self._store().items(prefix) if _is_a_persons(item, prefix)]
        transfer.download(self._store(), items, folder, overwrite, show_progress)
        return len(items)

    def __str__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r}, datastore_type={self._datastore_type!r})"

    __repr__ = __str__


class LocalFolderDatastore(AbstractDatastore):
    """A folder on this machine, or on a volume that is shared with others."""

    def __init__(self, workspace: HasName, name: str, root: StrPath) -> None:
        super().__init__(workspace, name, LOCAL_FOLDER)
        self._root = Path(root)

    @property
    def root(self) -> Path:
        """The folder; made when something is put into it."""
        return self._root

    @property
    def account_name(self) -> str:
        """SDK v1's storage account: here the machine itself."""
        return "local"

    @property
    def container_name(self) -> str:
        """SDK v1's blob container: here the folder."""
        return str(self._root)

    def _store(self) -> Store:
        return LocalStore(str(self._root))


class S3Datastore(AbstractDatastore):
    """A bucket."""

    def __init__(self, workspace: HasName, name: str, its: S3Settings) -> None:
        super().__init__(workspace, name, S3)
        self._settings = its
        self._files = S3Store(its)

    @property
    def account_name(self) -> str:
        """SDK v1's storage account: here the server."""
        return urlsplit(self._settings.endpoint).netloc if self._settings.endpoint else "s3.amazonaws.com"

    @property
    def container_name(self) -> str:
        """SDK v1's blob container: here the bucket."""
        return self._settings.bucket

    def _store(self) -> Store:
        return self._files


class UrlDatastore(AbstractDatastore):
    """Any address that fsspec reads."""

    def __init__(self, workspace: HasName, name: str, its: UrlSettings) -> None:
        super().__init__(workspace, name, URL)
        self._settings = its
        self._files = UrlStore(its)

    @property
    def account_name(self) -> str:
        """SDK v1's storage account: here the server."""
        return urlsplit(shown(self._settings.url)).netloc

    @property
    def container_name(self) -> str:
        """SDK v1's blob container: here the folder on it."""
        return urlsplit(self._settings.url).path.strip("/")

    def _store(self) -> Store:
        return self._files


def prefect_of(workspace: Any) -> RestClient:
    """The Prefect server of a workspace."""
    if not hasattr(workspace, "_prefect"):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")
    client: RestClient = workspace._prefect()
    return client


def _is_a_persons(item: Item, prefix: str) -> bool:
    return not item.path.startswith(OWN_FOLDER + "/") or prefix.startswith(OWN_FOLDER)


def _joined(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path


def checked_folder(field: str, path: StrPath) -> str:
    """The absolute path of a folder that is there."""
    if not isinstance(path, (str, os.PathLike)) or not os.path.isdir(path):
        raise UserErrorException(f"{field}: {path!r} is not a folder.")
    return os.path.abspath(path)


def _file(path: StrPath) -> str:
    if not isinstance(path, (str, os.PathLike)) or not os.path.isfile(path):
        raise UserErrorException(f"files: {path!r} is not a file.")
    return os.path.abspath(path)


def _kept_part(path: StrPath, root: str | None) -> str:
    if root is None:
        return os.path.basename(path)
    relative = os.path.relpath(os.path.abspath(path), root)
    if relative.split(os.sep)[0] == os.pardir:
        raise UserErrorException(f"files: {os.fspath(path)!r} is not below relative_root {root!r}.")
    return relative


def _refuse_twins(pairs: Sequence[tuple[str, str]]) -> None:
    sources: dict[str, str] = {}
    for source, target in pairs:
        other = sources.setdefault(target, source)
        if other != source:
            raise UserErrorException(f"files: {other} and {source} would both become {os.path.basename(target)}. Give relative_root.")


def _files_below(folder: str) -> Iterator[str]:
    """Pipes and devices are no files: they would be read for ever."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        yield from (
            path
            for path in (os.path.join(parent, name) for name in sorted(files))
            if os.path.isfile(path) and not is_partial(os.path.basename(path))
        )
