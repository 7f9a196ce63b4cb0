"""Datasets of a script on an interpreter that is too old for the package's own.

What they stand for is done by who answers the mailbox: listing, fetching, reading tables. Steps are written into the definition.
"""

import os
import shutil
import tempfile

from mlflows.exceptions import UserErrorException
from mlflows.job import here
from mlflows.job.absent import Absent
from mlflows.job.datastores import Datastore, source_of

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

_NEWER = "is for scripts on Python 3.10 or newer. Use another environment for the run, or"


class _Lookup:
    """``Dataset``'s ways to find what is registered."""

    @staticmethod
    def get_by_name(workspace, name, version="latest", **kwargs):
        # type: (object, str, object, object) -> Any
        """A registered dataset: of a version, or the newest.

        Raises:
            UserErrorException: there is none; the message says which there are.
        """
        return _made(here.current().ask("dataset_by_name", name=name, version=version))

    @staticmethod
    def get_by_id(workspace, id, **kwargs):
        # type: (object, str, object) -> Any
        """The dataset of an id, or the input of this run.

        Raises:
            UserErrorException: there is none in this workspace.
        """
        return _made(here.current().ask("dataset_by_id", id=id))

    @staticmethod
    def get_all(workspace):
        # type: (object) -> dict[str, Any]
        """Name -> newest version of all registered datasets."""
        return {name: _made(answer) for name, answer in here.current().ask("datasets").items()}


class FileDatasetFactory:
    """``Dataset.File``."""

    @staticmethod
    def from_files(path, validate=True, partition_format=None, is_file=False):
        # type: (Any, bool, str | None, bool) -> FileDataset
        """A dataset of files: a path, an address, ``(datastore, path)``, or a list of these.

        Raises:
            UserErrorException: a bad argument; there are no such files.
        """
        options = {"validate": validate, "partition_format": partition_format, "is_file": is_file}
        made = _new("from_files", path, options)  # type: FileDataset
        return made

    @staticmethod
    def upload_directory(src_dir, target, pattern=None, overwrite=False, show_progress=True):
        # type: (str, Any, str | None, bool, bool) -> FileDataset
        """Copy the files of a folder into a datastore, and make a dataset of them there."""
        if pattern is not None:
            raise UserErrorException("pattern: {!r} {} upload all files.".format(pattern, _NEWER))
        name, path = source_of(target)
        return FileDatasetFactory.from_files(Datastore(None, name).upload(src_dir, path or None, overwrite, show_progress))


class TabularDatasetFactory:
    """``Dataset.Tabular``."""

    @staticmethod
    def from_delimited_files(path, validate=True, **options):
        # type: (Any, bool, Any) -> TabularDataset
        """A table of delimited text. Arguments are those of SDK v1.

        Raises:
            UserErrorException: a bad argument; there are no such files, or they cannot be read.
        """
        made = _new("from_delimited_files", path, dict(options, validate=validate))  # type: TabularDataset
        return made

    @staticmethod
    def from_parquet_files(path, validate=True, **options):
        # type: (Any, bool, Any) -> TabularDataset
        """A table of Parquet files. Errors as in from_delimited_files."""
        made = _new("from_parquet_files", path, dict(options, validate=validate))  # type: TabularDataset
        return made

    @staticmethod
    def from_json_lines_files(path, validate=True, **options):
        # type: (Any, bool, Any) -> TabularDataset
        """A table of text with a JSON object a line. Errors as in from_delimited_files."""
        made = _new("from_json_lines_files", path, dict(options, validate=validate))  # type: TabularDataset
        return made

    @staticmethod
    def register_pandas_dataframe(dataframe, target, name, *args, **kwargs):
        # type: (object, object, str, object, object) -> None
        """Needs a newer Python."""
        raise UserErrorException("Dataset.Tabular.register_pandas_dataframe {} upload a file of it.".format(_NEWER))


class AbstractDataset(Absent):
    """What files and tables have in common."""

    def _prepare(self, answer):
        # type: (dict[str, Any]) -> Any
        self._answer = answer
        return self

    def _then(self, do, **options):
        # type: (str, Any) -> Any
        """The same with one more step, and no longer what is registered."""
        definition = dict(self._answer["definition"])
        definition["steps"] = definition["steps"] + [dict(options, do=do)]
        return _made({"kind": self._answer["kind"], "definition": definition, "description": None, "tags": {}})

    def take(self, count):
        # type: (int) -> Any
        """The first files, or rows, alone."""
        return self._then("take", count=_count(count))

    def skip(self, count):
        # type: (int) -> Any
        """Without the first files, or rows."""
        return self._then("skip", count=_count(count))

    def take_sample(self, probability, seed=None):
        # type: (float, int | None) -> Any
        """Each file, or row, with a probability."""
        return self._then("sample", probability=_share("probability", probability), seed=_seed(seed))

    def random_split(self, percentage, seed=None):
        # type: (float, int | None) -> tuple[Any, Any]
        """Two datasets: each file, or row, is in the first with this probability, else in the second."""
        options = {"percentage": _share("percentage", percentage), "seed": _seed(seed)}
        return self._then("split", part=0, **options), self._then("split", part=1, **options)

    def register(self, workspace, name, description=None, tags=None, create_new_version=False):
        # type: (object, str, str | None, dict[str, str] | None, bool) -> Any
        """Keep the definition under a name.

        Raises:
            UserErrorException: the name is registered with another definition, and ``create_new_version`` is not given.
        """
        said = {"name": name, "description": description, "tags": tags or {}, "create_new_version": create_new_version}  # type: dict[str, Any]
        return _made(here.current().ask("dataset_register", definition=self._answer["definition"], **said))

    @property
    def id(self):
        # type: () -> str | None
        """Id of the registered version, or of the run's input."""
        return self._answer.get("id")

    @property
    def name(self):
        # type: () -> str | None
        """Registered name; None if it is not registered."""
        return self._answer.get("name")

    @property
    def version(self):
        # type: () -> int | None
        """Registered version; None if it is not registered."""
        return self._answer.get("version")

    @property
    def description(self):
        # type: () -> str | None
        """Description of the registered version."""
        return self._answer.get("description")

    @property
    def tags(self):
        # type: () -> dict[str, str]
        """Tags of the registered version."""
        return dict(self._answer.get("tags") or {})

    def __getattr__(self, name):
        # type: (str) -> object
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError("{}.{} {} do this where the run is submitted.".format(type(self).__name__, name, _NEWER))

    def __repr__(self):
        # type: () -> str
        return "{}(name={!r}, version={!r})".format(type(self).__name__, self.name, self.version)


class FileDataset(AbstractDataset):
    """Files."""

    def to_path(self):
        # type: () -> list[str]
        """The files' names in the dataset, each with ``/`` in front, sorted."""
        listed = here.current().ask_patiently("dataset_listing", definition=self._answer["definition"], chosen=True)
        return ["/" + each["name"] for each in listed]

    def download(self, target_path=None, overwrite=False, ignore_not_found=False):
        # type: (str | None, bool, bool) -> list[str]
        """Copy the files into a folder; their names in the dataset are kept. The paths of the copies.

        Raises:
            UserErrorException: a file is there already, and ``overwrite`` is not given: then nothing is copied.
        """
        if target_path is not None and (not os.fspath(target_path) or os.path.lexists(target_path) and not os.path.isdir(target_path)):
            raise UserErrorException("target_path: {!r} is not a folder. Give a folder to download to.".format(target_path))
        folder = tempfile.mkdtemp(prefix="mlflows-download-") if target_path is None else os.path.abspath(os.fspath(target_path))
        pairs = [(each["path"], _inside(folder, each["name"])) for each in self._files()["files"]]
        there = [target for _, target in pairs if os.path.lexists(target)]
        if there and not overwrite:
            raise UserErrorException(
                "target_path: {} of {} files are in {} already, the first is {}. Give overwrite=True, or another folder.".format(
                    len(there), len(pairs), folder, os.path.relpath(there[0], folder)
                )
            )
        for source, target in pairs:
            _copy(source, target)
        return [target for _, target in pairs]

    def mount(self, mount_point=None, **kwargs):
        # type: (str | None, object) -> _Mount
        """A read-only folder with the files, between ``start`` and ``stop`` or inside a ``with`` statement."""
        return _Mount(self._files, mount_point)

    def _files(self):
        # type: () -> dict[str, Any]
        answer = here.current().ask_patiently("dataset_files", definition=self._answer["definition"])  # type: dict[str, Any]
        return answer


class TabularDataset(AbstractDataset):
    """A table."""

    def to_pandas_dataframe(self, on_error="null", out_of_range_datetime="null"):
        # type: (str, str) -> Any
        """All rows, as a pandas DataFrame.

        Raises:
            UserErrorException: pandas or pyarrow is not installed; the files are not what they are read as.
        """
        for field, value, known in (("on_error", on_error, "fail"), ("out_of_range_datetime", out_of_range_datetime, "error")):
            if value not in ("null", known):
                raise UserErrorException("{}: {!r} is neither 'null' nor {!r}.".format(field, value, known))
        try:
            import pandas
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise UserErrorException(
                "Tables need pandas and pyarrow ({}). Add both to the pip packages of the run's environment.".format(error)
            )
        options = {"on_error": on_error, "out_of_range_datetime": out_of_range_datetime}
        answer = here.current().ask_patiently("dataset_table", definition=self._answer["definition"], **options)
        return pandas.read_parquet(answer["path"], engine="pyarrow")

    def keep_columns(self, columns, validate=False):
        # type: (Any, bool) -> TabularDataset
        """Some columns, in this order."""
        made = self._then("keep_columns", columns=_names(columns))  # type: TabularDataset
        if validate:
            made.take(1).to_pandas_dataframe()
        return made

    def drop_columns(self, columns):
        # type: (Any) -> TabularDataset
        """All columns but some."""
        made = self._then("drop_columns", columns=_names(columns))  # type: TabularDataset
        return made


class Dataset(_Lookup):
    """``Dataset.File`` and ``Dataset.Tabular`` make datasets; ``get_by_name``, ``get_by_id`` and ``get_all`` find registered ones."""

    File = FileDatasetFactory
    Tabular = TabularDatasetFactory


class _Mount:
    """``dataset.mount()``. The files lie in the job folder; a ``mount_point`` that is given leads there."""

    def __init__(self, files, mount_point):
        # type: (Any, str | None) -> None
        self._files = files
        self._given = None if mount_point is None else os.path.abspath(os.fspath(mount_point))
        self._folder = None  # type: str | None

    @property
    def mount_point(self):
        # type: () -> str
        """The folder; asking for it fetches the files."""
        if self._given is not None:
            return self._given
        if self._folder is None:
            self._folder = str(self._files()["folder"])
        return self._folder

    def start(self):
        # type: () -> None
        """Have the files there.

        Raises:
            UserErrorException: ``mount_point`` is there and not an empty folder.
        """
        if self._given is None:
            self.mount_point  # noqa: B018 - fetches
            return
        if os.path.lexists(self._given) and (os.path.islink(self._given) or not os.path.isdir(self._given) or os.listdir(self._given)):
            raise UserErrorException(
                "mount_point: {} is there and not an empty folder. Stop what is mounted, or give another one.".format(self._given)
            )
        folder = str(self._files()["folder"])
        if os.path.isdir(self._given):
            os.rmdir(self._given)
        os.makedirs(os.path.dirname(self._given), exist_ok=True)
        os.symlink(folder, self._given)
        self._folder = folder

    def stop(self):
        # type: () -> None
        """Remove what start has made."""
        if self._given is not None and self._folder is not None and os.path.islink(self._given):
            os.unlink(self._given)
        self._folder = None

    def __enter__(self):
        # type: () -> _Mount
        self.start()
        return self

    def __exit__(self, *error):
        # type: (object) -> None
        self.stop()


def _made(answer):
    # type: (dict[str, Any]) -> Any
    kind = FileDataset if answer["kind"] == "File" else TabularDataset
    return object.__new__(kind)._prepare(answer)


def _new(method, path, options):
    # type: (str, Any, dict[str, Any]) -> Any
    for name, value in options.items():
        if name == "set_column_types" and value:
            raise UserErrorException("set_column_types: {} convert the columns with pandas.".format(_NEWER))
    paths = [_path(each) for each in (path if isinstance(path, list) else [path])]
    return _made(here.current().ask_patiently("dataset_made", make=method, path=paths, options=options))


def _path(path):
    # type: (Any) -> str | list[str]
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        return text if "://" in text else os.path.abspath(os.path.expanduser(text))
    return list(source_of(path))


def _inside(folder, name):
    # type: (str, str) -> str
    if not name or any(part in ("", ".", "..") for part in name.split("/")):
        raise UserErrorException("{!r} is not a path that can be written below {}.".format(name, folder))
    return os.path.join(folder, *name.split("/"))


def _copy(source, target):
    # type: (str, str) -> None
    """Whole or not at all; a link that is there is replaced, not followed."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    making = "{}.{}.partial".format(target, os.getpid())
    shutil.copyfile(source, making)
    os.replace(making, target)


def _count(count):
    # type: (Any) -> int
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise UserErrorException("count: {!r} is not a whole number from 0.".format(count))
    return count


def _share(field, value):
    # type: (str, Any) -> float
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UserErrorException("{}: {!r} is not a number from 0 to 1.".format(field, value))
    return float(value)


def _seed(seed):
    # type: (Any) -> int
    if seed is None:
        return int.from_bytes(os.urandom(4), "big")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise UserErrorException("seed: {!r} is not a whole number from 0 to {}.".format(seed, 2**32 - 1))
    return seed


def _names(columns):
    # type: (Any) -> list[str]
    names = [columns] if isinstance(columns, str) else list(columns) if isinstance(columns, (list, tuple)) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise UserErrorException("columns: expected a name or a list of names, got {!r}.".format(columns))
    return names
