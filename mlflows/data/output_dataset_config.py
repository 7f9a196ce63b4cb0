"""OutputFileDatasetConfig: a folder that a run writes, kept in a datastore and, where wanted, registered as a dataset."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mlflows.data import dataset_registry, globs
from mlflows.data.abstract_dataset import _description, _tags
from mlflows.data.data_reference import DataReference, workspace_of
from mlflows.data.datapath import DataPath
from mlflows.data.dataset_consumption_config import DIRECT_MODE, MOUNT_MODE, DatasetConsumptionConfig, checked_name
from mlflows.data.dataset_factory import Reading, delimited, reading_of
from mlflows.data.partitions import PartitionFormat
from mlflows.exceptions import UserErrorException
from mlflows.spec import JobArgument

if TYPE_CHECKING:
    from _typeshed import StrPath
    from typing_extensions import Self

UPLOAD_MODE = "upload"
MODES = (MOUNT_MODE, UPLOAD_MODE)

DEFAULT_PATH = "dataset/{run-id}/{output-name}"
"""Where an output goes in the workspace's default datastore, unless something else is said."""

PLACEHOLDERS = ("{run-id}", "{output-name}")

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


class Destination(NamedTuple):
    """A path in a datastore; ``datastore`` None is the default one of ``workspace``, which is None where any will do."""

    datastore: str | None
    path: str
    workspace: str | None


class OutputDatasetConfig:
    """What a run writes and keeps. It does not change, but for its name: methods return another one.

    Args:
        mode: ``mount`` or ``upload``.
        name: of the output, also of its environment variable; made up if none.

    Raises:
        UserErrorException: a bad name or mode, or an argument that there is not.
    """

    def __init__(self, mode: str, name: str | None = None, **kwargs: Any) -> None:
        if kwargs:
            raise UserErrorException(f"{', '.join(kwargs)}: not an argument of an output. Leave it out.")
        if mode not in MODES:
            raise UserErrorException(f"mode: {mode!r} is not one of {', '.join(MODES)}.")
        self.mode = mode
        self.name = f"output_{os.urandom(4).hex()}" if name is None else name
        self._registration: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Name of the output."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = checked_name("output", value)

    def register_on_complete(self, name: str, description: str | None = None, tags: Mapping[str, str] | None = None) -> Self:
        """The same, registered as the next version of a dataset when the run has completed.

        Args:
            name: of the dataset.
            description: what it is.
            tags: names and values.

        Raises:
            ValueError: there is no name.
            UserErrorException: a bad name, description or tags.
        """
        if name is None:
            raise ValueError("name: None. Give the name of the dataset that is to be registered.")
        dataset_registry.check_name(name)
        its = {"name": name, "description": _description(description), "tags": _tags(tags) if tags else None}
        return self._with(_registration=its)

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        """What is written, as an input of a pipeline's next step.

        Raises:
            NotImplementedError: only outputs of files or tables can be one.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot be an input. Use OutputFileDatasetConfig.")

    def _with(self, **changes: Any) -> Self:
        made = copy.copy(self)
        made.__dict__.update(changes)
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, mode={self.mode!r})"


class _Output(OutputDatasetConfig):
    """What an output of files and one of a table have in common: how a run is told of it."""

    _destination = Destination(None, DEFAULT_PATH, None)
    _source: str | None = None
    _overwrite = False
    _source_globs: list[str] | None = None
    _reading: Reading | None = None
    _partition_format: str | None = None

    def _as_output(self) -> dict[str, Any]:
        """As a JobSpec has it."""
        return {
            "mode": self.mode,
            "datastore": self._destination.datastore,
            "path": self._destination.path,
            "overwrite": self._overwrite,
            "source": self._source,
            "source_globs": self._source_globs,
            "register": self._registration,
            "reading": self._reading,
            "partition_format": self._partition_format,
        }

    def _as_job_argument(self) -> JobArgument:
        """See JobArgument."""
        return JobArgument(f"$AZUREML_DATAREFERENCE_{self._name}", {}, {self._name: self._as_output()}, self._destination.workspace)


class OutputFileDatasetConfig(_Output):
    """A folder that a run writes. In arguments it stands for the folder's path.

    Args:
        name: of the output, also of its environment variable; made up if none.
        destination: ``(datastore, path)`` or a DataPath; ``{run-id}`` and ``{output-name}`` may be in the path. None: in the workspace's
            default datastore, ``dataset/{run-id}/{output-name}``.
        source: the folder or file that the script writes, where it cannot be told the path; a folder is made if none.
        partition_format: columns of the registered dataset whose values are in the paths.

    Raises:
        UserErrorException: a bad argument; a path that leads out of its datastore.
    """

    def __init__(
        self, name: str | None = None, destination: Any = None, source: StrPath | None = None, partition_format: str | None = None
    ) -> None:
        super().__init__(MOUNT_MODE, name)
        if partition_format is not None:
            PartitionFormat(partition_format)
        self._given = destination
        self._destination = _checked_destination(destination)
        self._source = _checked_source(source)
        self._partition_format = partition_format

    @property
    def destination(self) -> Any:
        """As it was given."""
        return self._given

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:
        """The same, mounted: files are in the datastore also if the run fails, and replace what is there.

        Args:
            disable_metadata_cache: accepted and not used.

        Raises:
            UserErrorException: neither True nor False.
        """
        _check_flag("disable_metadata_cache", disable_metadata_cache)
        return self._with(mode=MOUNT_MODE, _overwrite=False, _source_globs=None)

    def as_upload(self, overwrite: bool = False, source_globs: Any = None) -> OutputFileDatasetConfig:
        """The same, uploaded when the run has completed.

        Args:
            overwrite: replace files that are there; else the run fails if there are any.
            source_globs: only files that match this pattern, or one of these, such as ``**/*.csv``.

        Raises:
            UserErrorException: neither True nor False; not patterns.
        """
        _check_flag("overwrite", overwrite)
        return self._with(mode=UPLOAD_MODE, _overwrite=overwrite, _source_globs=_patterns(source_globs))

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        """What is written, as an input of a pipeline's next step. No run takes it in this version: see register_on_complete.

        Raises:
            UserErrorException: a bad name.
        """
        return DatasetConsumptionConfig(f"input_{self._name}" if name is None else name, self, MOUNT_MODE)

    def read_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: Any = True,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, Any] | None = None,
    ) -> OutputTabularDatasetConfig:
        """The same, to be registered as a table of delimited text.

        Args:
            include_path: add a column ``Path`` with the file's name in the dataset.
            separator: between columns.
            header: whether the first line of each file has the names.
            partition_format: columns whose values are in the paths.
            path_glob: not available in this version yet.
            set_column_types: column -> DataType.

        Raises:
            UserErrorException: a bad argument.
        """
        return self._table(delimited(separator=separator, header=header), include_path, partition_format, path_glob, set_column_types)

    def read_parquet_files(
        self,
        include_path: bool = False,
        partition_format: str | None = None,
        path_glob: str | None = None,
        set_column_types: Mapping[str, Any] | None = None,
    ) -> OutputTabularDatasetConfig:
        """The same, to be registered as a table of Parquet files. Arguments and errors as in read_delimited_files."""
        return self._table({"as": "parquet"}, include_path, partition_format, path_glob, set_column_types)

    def _table(
        self, reading: Reading, include_path: bool, partition_format: str | None, path_glob: str | None, set_column_types: Any
    ) -> OutputTabularDatasetConfig:
        if path_glob is not None:
            raise UserErrorException(
                f"path_glob: {path_glob!r} is not available in this version yet. Leave it out, and write the table's files into an output "
                "of their own."
            )
        if partition_format is not None:
            PartitionFormat(partition_format)
        made = OutputTabularDatasetConfig(mode=self.mode, name=self._name)
        full = {"_reading": reading_of(reading, include_path, set_column_types)}
        mine = {key: value for key, value in self.__dict__.items() if key.startswith("_")}
        return made._with(**{**mine, **full, **({"_partition_format": partition_format} if partition_format else {})})


class OutputTabularDatasetConfig(_Output):
    """A folder with the files of a table that a run writes; made by OutputFileDatasetConfig.read_delimited_files and the like."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(kwargs.pop("mode", MOUNT_MODE), **kwargs)

    def as_input(self, name: str | None = None) -> DatasetConsumptionConfig:
        """As OutputFileDatasetConfig's, without files: a direct input."""
        return DatasetConsumptionConfig(f"input_{self._name}" if name is None else name, self, DIRECT_MODE)


def _checked_destination(given: Any) -> Destination:
    if given is None:
        return Destination(None, DEFAULT_PATH, None)
    if isinstance(given, DataPath):
        given = (given._datastore, given.path_on_datastore)
    elif isinstance(given, DataReference):
        given = (given.datastore, given.path_on_datastore)
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(getattr(given[0], "name", None), str):
        raise UserErrorException(f"destination: expected (datastore, 'path') or a DataPath, got {given!r}.")
    store, path = given
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise UserErrorException(f"destination: {path!r} is not a path in datastore {store.name!r}. Give for instance {DEFAULT_PATH!r}.")
    return Destination(store.name, _checked_path(os.fspath(path or "")), workspace_of(store))


def _checked_path(path: str) -> str:
    unknown = [each for each in _PLACEHOLDER.findall(path) if each not in PLACEHOLDERS]
    if unknown:
        raise UserErrorException(f"destination: {path!r} has {unknown[0]} in it. What is filled in is {' and '.join(PLACEHOLDERS)}.")
    if globs.has_pattern(path):
        raise UserErrorException(f"destination: {path!r} is a pattern. Give the path of a folder.")
    return globs.inside("destination", path)


def _checked_source(source: Any) -> str | None:
    if source is None:
        return None
    if not isinstance(source, (str, os.PathLike)) or not os.fspath(source) or "\0" in str(source):
        raise UserErrorException(f"source: {source!r} is not a path. Give the folder that the script writes, or leave it out.")
    return os.fsdecode(source)


def _patterns(given: Any) -> list[str] | None:
    if given is None:
        return None
    wanted = [given] if isinstance(given, str) else given
    if not isinstance(wanted, (list, tuple)) or not wanted or not all(isinstance(each, str) and each for each in wanted):
        raise UserErrorException(f"source_globs: expected a pattern such as '**/*.csv', or a list of them, got {given!r}.")
    return [globs.inside("source_globs", each) for each in wanted]


def _check_flag(field: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise UserErrorException(f"{field}: expected True or False, got {value!r}.")
