"""Datastores: named places for files. In this version the folder on this machine that every workspace has."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlflows import settings
from mlflows.data import workspace_file
from mlflows.data.data_reference import DataReference
from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from _typeshed import StrPath

logger = logging.getLogger(__name__)

DEFAULT_NAME = "workspaceblobstore"
"""SDK v1's name of the datastore that a workspace has from the start."""

LOCAL_FOLDER = "LocalFolder"
OWN_FOLDER = ".mlflows"
"""What this package itself keeps in a datastore; a download of everything leaves it out."""

COPIERS = 8
"""Threads that copy; more do not help one disk."""


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
        """Its kind, ``LocalFolder``."""
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
        """Make it the workspace's default."""
        with workspace_file.changing(self._workspace.name) as record:
            record["default_datastore"] = self._name

    def __str__(self) -> str:
        return f"{type(self).__name__}(name={self._name!r}, datastore_type={self._datastore_type!r})"

    __repr__ = __str__


class LocalFolderDatastore(AbstractDatastore):
    """A folder on this machine."""

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

    @property
    def account_key(self) -> str:
        """Empty: a folder has no key."""
        return ""

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
            UserErrorException: ``src_dir`` is no folder; ``target_path`` leads out of the datastore.
        """
        source = _folder("src_dir", src_dir)
        target = self._inside("target_path", target_path or "")
        files = [(path, os.path.join(target, os.path.relpath(path, source))) for path in _files_below(source)]
        _copy_all(files, overwrite, show_progress, "Uploading")
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
        root = None if relative_root is None else _folder("relative_root", relative_root)
        target = self._inside("target_path", target_path or "")
        pairs = [(_file(path), os.path.join(target, _kept_part(path, root))) for path in files]
        _refuse_twins(pairs)
        _copy_all(pairs, overwrite, show_progress, "Uploading")
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
        start = self._inside("prefix", prefix or "")
        files = [(path, os.path.join(target_path, os.path.relpath(path, self._root))) for path in self._matching(start)]
        _copy_all(files, overwrite, show_progress, "Downloading")
        return len(files)

    def _matching(self, start: str) -> list[str]:
        """SDK v1's prefix is one of text: ``data/tr`` means data/train.csv, too."""
        folder = start if os.path.isdir(start) else os.path.dirname(start)
        own = os.path.join(self._root, OWN_FOLDER) + os.sep
        return [path for path in _files_below(folder) if path.startswith(start) and (not path.startswith(own) or start.startswith(own))]

    def _inside(self, field: str, path: str) -> str:
        if not isinstance(path, str):
            raise UserErrorException(f"{field}: expected a path in the datastore, got {path!r}.")
        root = os.path.abspath(self._root)
        full = os.path.normpath(os.path.join(root, path.lstrip("/")))
        if full != root and not full.startswith(root + os.sep):
            raise UserErrorException(f"{field}: {path!r} leads out of the datastore {self._name!r}. Give a path without '..'.")
        return full


class Datastore:
    """``Datastore(workspace, name)`` is the datastore of this name, of its own class; without a name, the default one."""

    def __new__(cls, workspace: HasName, name: str | None = None) -> AbstractDatastore:  # type: ignore[misc]
        """See get."""
        return cls.get_default(workspace) if name is None else cls.get(workspace, name)

    @staticmethod
    def get(workspace: HasName, datastore_name: str) -> LocalFolderDatastore:
        """The datastore of this name.

        Raises:
            UserErrorException: there is none; the message names those that exist.
        """
        found = datastores_of(workspace)
        if not isinstance(datastore_name, str) or datastore_name not in found:
            raise UserErrorException(
                f"Workspace {workspace.name!r} has no datastore {datastore_name!r}. There are: {', '.join(sorted(found))}."
            )
        return found[datastore_name]

    @staticmethod
    def get_default(workspace: HasName) -> LocalFolderDatastore:
        """The workspace's default datastore."""
        _check_workspace(workspace)
        return Datastore.get(workspace, workspace_file.read(workspace.name).get("default_datastore", DEFAULT_NAME))


def datastores_of(workspace: HasName) -> dict[str, LocalFolderDatastore]:
    """All datastores of a workspace, by name."""
    _check_workspace(workspace)
    root = settings.workspace_dir(workspace.name) / "datastores" / DEFAULT_NAME
    return {DEFAULT_NAME: LocalFolderDatastore(workspace, DEFAULT_NAME, root)}


def _check_workspace(workspace: Any) -> None:
    if not isinstance(getattr(workspace, "name", None), str):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")


def _folder(field: str, path: StrPath) -> str:
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
        yield from (path for path in (os.path.join(parent, name) for name in sorted(files)) if os.path.isfile(path))


def _copy_all(pairs: Sequence[tuple[str, str]], overwrite: bool, show_progress: bool, verb: str) -> None:
    from concurrent.futures import ThreadPoolExecutor  # not needed to submit a run, and slow to import

    chosen = [pair for pair in pairs if overwrite or not os.path.lexists(pair[1])]
    say = print if show_progress else _nothing
    if len(chosen) < len(pairs):
        say(f"{len(pairs) - len(chosen)} of {len(pairs)} files are there already and stay as they are (overwrite=True replaces them)")
    if not chosen:
        return
    began = time.monotonic()
    with ThreadPoolExecutor(COPIERS) as pool:
        for done, (source, _) in enumerate(pool.map(_copy, chosen), 1):
            say(f"{verb} {source}: {done} of {len(chosen)} files")
    say(f"{verb} took {time.monotonic() - began:.1f} s")


def _copy(pair: tuple[str, str]) -> tuple[str, str]:
    """Under a temporary name first, so that nobody reads half a file."""
    import shutil

    source, target = pair
    os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = f"{target}.{os.getpid()}.part"
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return pair


def _nothing(line: str) -> None:
    logger.debug(line)
