"""Datastores of a script on an interpreter that is too old for the package's own. Files are moved by who answers the mailbox."""

import os

from mlflows.exceptions import UserErrorException
from mlflows.job import here
from mlflows.job.absent import Absent

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401


class Place:
    """A path in a datastore, and what ``upload`` returns."""

    def __init__(self, datastore, path):
        # type: (Datastore, str | None) -> None
        self.datastore = datastore
        self.path_on_datastore = path


class Datastore(Absent):
    """A datastore of the job's workspace: ``Datastore(workspace, name)``, the default one without a name."""

    def __init__(self, workspace, name=None):
        # type: (object, str | None) -> None
        answer = here.current().ask("datastore", name=name)
        self.workspace = workspace
        self.name = answer["name"]
        self.datastore_type = answer["datastore_type"]
        self.account_name = answer["account_name"]
        self.container_name = answer["container_name"]

    @staticmethod
    def get(workspace, datastore_name):
        # type: (object, str) -> Datastore
        """The datastore of this name.

        Raises:
            UserErrorException: there is none; the message names those that exist.
        """
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace):
        # type: (object) -> Datastore
        """The workspace's default datastore."""
        return Datastore(workspace)

    def path(self, path=None, data_reference_name=None):
        # type: (str | None, str | None) -> Place
        """A path in it, for Dataset.File and Dataset.Tabular."""
        return Place(self, path)

    def upload(self, src_dir, target_path=None, overwrite=False, show_progress=True):
        # type: (str, str | None, bool, bool) -> Place
        """Copy all files of a folder into the datastore.

        Raises:
            UserErrorException: ``src_dir`` is no folder; ``target_path`` leads out of the datastore.
        """
        if not os.path.isdir(src_dir):
            raise UserErrorException("src_dir: {!r} is not a folder.".format(src_dir))
        root = os.path.abspath(os.fspath(src_dir))
        found = [os.path.join(parent, name) for parent, _, names in os.walk(root) for name in names]
        return self.upload_files(sorted(path for path in found if os.path.isfile(path)), root, target_path, overwrite, show_progress)

    def upload_files(self, files, relative_root=None, target_path=None, overwrite=False, show_progress=True):
        # type: (list[str], str | None, str | None, bool, bool) -> Place
        """Copy some files into the datastore; below ``relative_root`` their paths are kept, else only their names.

        Raises:
            UserErrorException: a file does not exist or is not below ``relative_root``; two would land on one path.
        """
        if isinstance(files, (str, bytes, os.PathLike)):
            raise UserErrorException("files: expected a list of paths, got {!r}. Write [{!r}] for one.".format(files, files))
        target = (target_path or "").strip("/")
        pairs = [[os.path.abspath(path), "/".join(part for part in (target, _kept(path, relative_root)) if part)] for path in files]
        if len({path for _, path in pairs}) < len({source for source, _ in pairs}):
            raise UserErrorException("files: two of them would become one file. Give relative_root.")
        asked = {"name": self.name, "files": pairs, "folder": target, "overwrite": bool(overwrite)}
        sent = here.current().ask_patiently("datastore_upload", **asked)
        if show_progress:
            print("Uploaded {} files to datastore {!r}; those that were there already stay as they are".format(sent, self.name))
        return Place(self, target_path)

    def download(self, target_path, prefix=None, overwrite=False, show_progress=True):
        # type: (str, str | None, bool, bool) -> int
        """Copy files out of the datastore; their paths in it are kept. How many there are.

        Raises:
            UserErrorException: ``target_path`` is not a folder.
        """
        if not os.fspath(target_path) or os.path.isfile(target_path):
            raise UserErrorException("target_path: {!r} is not a folder. Give a folder to download to.".format(target_path))
        asked = {"target": os.path.abspath(os.fspath(target_path)), "prefix": prefix, "overwrite": bool(overwrite)}
        found = int(here.current().ask_patiently("datastore_download", name=self.name, **asked))
        if show_progress:
            print("{} files of datastore {!r} are in {}".format(found, self.name, asked["target"]))
        return found

    def __repr__(self):
        # type: () -> str
        return "Datastore(name={!r}, datastore_type={!r})".format(self.name, self.datastore_type)


def source_of(place):
    # type: (Any) -> tuple[str, str]
    """Name of a datastore, and the path in it.

    Raises:
        UserErrorException: it is no path in a datastore.
    """
    if isinstance(place, Place):
        return place.datastore.name, place.path_on_datastore or ""
    if isinstance(place, Datastore):
        return place.name, ""
    if isinstance(place, tuple) and len(place) == 2 and isinstance(place[0], Datastore):
        return place[0].name, os.fspath(place[1])
    raise UserErrorException("path: {!r} is not a path. Give a path, an address, (datastore, 'path'), or a list of these.".format(place))


def _kept(path, root):
    # type: (str, str | None) -> str
    if not os.path.isfile(path):
        raise UserErrorException("files: {!r} is not a file.".format(path))
    if root is None:
        return os.path.basename(path)
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(root))
    if relative.split(os.sep)[0] == os.pardir:
        raise UserErrorException("files: {!r} is not below relative_root {!r}.".format(path, root))
    return relative
