"""Dataset.File and Dataset.Tabular: how datasets are made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from mlflows.data import dataset_registry, globs, tables
from mlflows.data.abstract_dataset import AbstractDataset, _description, _tags
from mlflows.data.data_type import types_of
from mlflows.data.datapath import DataPath
from mlflows.data.definition import FILE, TABULAR, Definition, sources_of
from mlflows.data.file_dataset import FileDataset
from mlflows.data.partitions import PartitionFormat
from mlflows.data.tabular_dataset import TabularDataset
from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from _typeshed import StrPath

Reading = dict[str, Any]

ENCODINGS = {
    "utf8": "utf-8",
    "utf8bom": "utf-8-sig",
    "iso88591": "iso-8859-1",
    "latin1": "latin-1",
    "ascii": "ascii",
    "utf16": "utf-16",
    "utf32": "utf-32",
    "windows1252": "cp1252",
}
"""SDK v1's names of encodings -> Python's."""


class FileDatasetFactory:
    """``Dataset.File``."""

    @staticmethod
    def from_files(path: Any, validate: bool = True, partition_format: str | None = None, is_file: bool = False) -> FileDataset:
        """A dataset of files.

        Args:
            path: a path of this machine, an http(s) URL, ``(datastore, path)``, a DataPath, or a list of these. A folder means all files
                below it; ``*`` and ``**`` are patterns.
            validate: look now whether there are such files.
            partition_format: columns whose values are in the paths, such as ``/{country}/{day:yyyy/MM/dd}/data.csv``.
            is_file: the path is that of one file; what is no file is refused.

        Raises:
            UserErrorException: a bad argument; ``validate`` finds no file, or one whose path is not of the format.
        """
        _check_flag("is_file", is_file)
        made = cast(FileDataset, _made(FILE, path, validate, {}, partition_format))
        if is_file:
            names = made.to_path()
            if len(names) != 1:
                raise UserErrorException(f"is_file: {path!r} is {len(names)} files, not one. Leave is_file out.")
        return made

    @staticmethod
    def upload_directory(
        src_dir: StrPath, target: Any, pattern: str | None = None, overwrite: bool = False, show_progress: bool = True
    ) -> FileDataset:
        """Copy the files of a folder into a datastore, and make a dataset of them there.

        Args:
            src_dir: the folder.
            target: ``(datastore, path)``, a DataPath, or a datastore.
            pattern: only files that match, such as ``**/*.csv``.
            overwrite: replace files that are there; else they stay as they are.
            show_progress: print what is done.

        Raises:
            UserErrorException: a bad argument; no file in the folder, or none that matches.
        """
        if not isinstance(src_dir, (str, os.PathLike)) or not os.path.isdir(src_dir):
            raise UserErrorException(f"src_dir: {src_dir!r} is not a folder.")
        _check_flag("overwrite", overwrite)
        _check_flag("show_progress", show_progress)
        if pattern is not None and (not isinstance(pattern, str) or not pattern):
            raise UserErrorException(f"pattern: expected a pattern such as '**/*.csv', got {pattern!r}.")
        wanted = None if pattern is None else globs.inside("pattern", pattern)
        store, path = _target(target)
        root = os.path.abspath(src_dir)
        files = [os.path.join(parent, name) for parent, _, names in os.walk(root) for name in names]
        chosen = sorted(
            each for each in files if os.path.isfile(each) and (wanted is None or globs.matches(wanted, os.path.relpath(each, root)))
        )
        if not chosen:
            raise UserErrorException(f"src_dir: {root} has no file{'' if pattern is None else f' that matches {pattern!r}'}.")
        store.upload_files(chosen, relative_root=root, target_path=path or None, overwrite=overwrite, show_progress=show_progress)
        return FileDatasetFactory.from_files((store, path))


class TabularDatasetFactory:
    """``Dataset.Tabular``."""

    @staticmethod
    def from_parquet_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """A table of Parquet files.

        Args:
            path: as in Dataset.File.from_files.
            validate: read the first row now.
            include_path: add a column ``Path`` with the file's name in the dataset.
            set_column_types: column -> DataType.
            partition_format: as in Dataset.File.from_files; its columns are added.

        Raises:
            UserErrorException: a bad argument; ``validate`` finds no file, or one that cannot be read.
        """
        return _table(path, validate, include_path, set_column_types, partition_format, {"as": "parquet"})

    @staticmethod
    def from_delimited_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Mapping[str, Any] | None = None,
        separator: str = ",",
        header: Any = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        """A table of delimited text: CSV, TSV.

        Args:
            path: as in Dataset.File.from_files.
            validate: read the first row now.
            include_path: add a column ``Path`` with the file's name in the dataset.
            infer_column_types: columns become numbers, true and false, or times, if all of a column can; else all is text.
            set_column_types: column -> DataType.
            separator: between columns.
            header: whether the first line of each file has the names; else they are Column1, Column2, ...
            partition_format: as in Dataset.File.from_files; its columns are added.
            support_multi_line: accepted: line breaks in quotes are always part of their value.
            empty_as_string: what is empty is text without a character, and not a missing value.
            encoding: utf8, utf8bom, iso88591, latin1, ascii, utf16, utf32 or windows1252.

        Raises:
            UserErrorException: a bad argument; ``validate`` finds no file, or one that cannot be read.
        """
        _check_flag("support_multi_line", support_multi_line)
        reading = delimited(infer_column_types, separator, header, empty_as_string, encoding)
        return _table(path, validate, include_path, set_column_types, partition_format, reading)

    @staticmethod
    def from_json_lines_files(
        path: Any,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, Any] | None = None,
        partition_format: str | None = None,
        invalid_lines: str = "error",
        encoding: str = "utf8",
    ) -> TabularDataset:
        """A table of text with a JSON object a line.

        Args:
            path: as in Dataset.File.from_files.
            validate: read the first row now.
            include_path: add a column ``Path`` with the file's name in the dataset.
            set_column_types: column -> DataType.
            partition_format: as in Dataset.File.from_files; its columns are added.
            invalid_lines: ``error`` refuses a line that is no JSON object; ``drop`` leaves it out.
            encoding: as in from_delimited_files.

        Raises:
            UserErrorException: a bad argument; ``validate`` finds no file, or one that cannot be read.
        """
        if invalid_lines not in ("error", "drop"):
            raise UserErrorException(f"invalid_lines: {invalid_lines!r} is neither 'error' nor 'drop'.")
        reading = {"as": "jsonl", "invalid_lines": invalid_lines, "encoding": _encoding(encoding)}
        return _table(path, validate, include_path, set_column_types, partition_format, reading)

    @staticmethod
    def register_pandas_dataframe(
        dataframe: Any,
        target: Any,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        show_progress: bool = True,
        row_group_size: int | None = None,
        make_target_path_unique: bool = True,
    ) -> TabularDataset:
        """Write a DataFrame as Parquet into a datastore, and register a dataset of it; the name's next version, if it is there.

        Args:
            dataframe: a pandas DataFrame.
            target: ``(datastore, path)``, a DataPath, or a datastore.
            name: of the dataset.
            description: what it is.
            tags: names and values.
            show_progress: print what is done.
            row_group_size: rows in a group of the file.
            make_target_path_unique: write into a new folder below the path.

        Raises:
            UserErrorException: a bad argument; the frame has columns that Parquet cannot hold.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        import tempfile  # slow to import

        pandas = tables.pandas()
        if not isinstance(dataframe, pandas.DataFrame):
            raise UserErrorException(f"dataframe: expected a pandas DataFrame, got a {type(dataframe).__name__}.")
        if row_group_size is not None and (not isinstance(row_group_size, int) or isinstance(row_group_size, bool) or row_group_size < 1):
            raise UserErrorException(f"row_group_size: {row_group_size!r} is not a number of rows. Give a whole number from 1.")
        _check_flag("show_progress", show_progress)
        _check_flag("make_target_path_unique", make_target_path_unique)
        dataset_registry.check_name(name)
        description, tags = _description(description), _tags(tags)
        store, path = _target(target)
        folder = "/".join(part for part in (path, str(uuid4()) if make_target_path_unique else "") if part)
        with tempfile.TemporaryDirectory() as written:
            file = os.path.join(written, f"part-{uuid4().hex}.parquet" if not folder else "part-00000.parquet")
            try:
                dataframe.to_parquet(file, index=False, row_group_size=row_group_size)
            except (ValueError, TypeError) as error:  # pyarrow's errors, too
                raise UserErrorException(f"dataframe: Parquet cannot hold it ({error}).") from error
            store.upload_files([file], target_path=folder or None, overwrite=True, show_progress=show_progress)
            made = TabularDatasetFactory.from_parquet_files(
                (store, f"{folder}/{os.path.basename(file)}" if folder else os.path.basename(file))
            )
        return made.register(store.workspace, name, description, tags, create_new_version=True)


def delimited(
    infer: bool = True, separator: str = ",", header: Any = True, empty_as_string: bool = False, encoding: str = "utf8"
) -> Reading:
    """How delimited text is read, as a definition has it. Arguments and errors as in from_delimited_files."""
    _check_flag("infer_column_types", infer)
    _check_flag("empty_as_string", empty_as_string)
    if not isinstance(header, bool):
        raise UserErrorException(f"header: {header!r} is not available in this version yet. Give True or False.")
    if not isinstance(separator, str) or not separator or separator in ("\n", "\r", '"'):
        raise UserErrorException(f"separator: {separator!r} cannot stand between columns. Give for instance ',' or '\\t'.")
    return {
        "as": "delimited",
        "infer": infer,
        "separator": separator,
        "header": header,
        "empty_as_string": empty_as_string,
        "encoding": _encoding(encoding),
    }


def reading_of(reading: Reading, include_path: bool, set_column_types: Any) -> Reading:
    """With what all tables have. Arguments and errors as in from_delimited_files."""
    _check_flag("include_path", include_path)
    return {**reading, "include_path": include_path, "types": types_of(set_column_types)}


def _made(kind: str, path: Any, validate: Any, reading: Mapping[str, Any], partition_format: Any) -> AbstractDataset:
    _check_flag("validate", validate)
    if partition_format is not None:
        PartitionFormat(partition_format)
    sources, stores = sources_of(path)
    made = AbstractDataset._of(Definition(kind, sources, reading, partition_format), stores)
    if validate:
        made._files()
    return made


def _table(
    path: Any, validate: bool, include_path: bool, set_column_types: Any, partition_format: str | None, reading: Reading
) -> TabularDataset:
    full = reading_of(reading, include_path, set_column_types)
    made = cast(TabularDataset, _made(TABULAR, path, validate, full, partition_format))
    if validate:
        made.take(1).to_pandas_dataframe()
    return made


def _target(target: Any) -> tuple[Any, str]:
    """The datastore and the path in it."""
    if hasattr(target, "datastore_type"):
        target = (target, "")
    if not isinstance(target, (tuple, DataPath)):
        raise UserErrorException(f"target: expected (datastore, 'path') or a DataPath, got {target!r}.")
    try:
        (source,), stores = sources_of(target)
    except UserErrorException as error:
        raise UserErrorException(error.message.replace("path:", "target:", 1)) from None
    if globs.has_pattern(source.path):
        raise UserErrorException(f"target: {source.path!r} is a pattern. Give the path of a folder.")
    return stores[source.place], source.path


def _encoding(encoding: Any) -> str:
    if not isinstance(encoding, str) or encoding.lower() not in ENCODINGS:
        raise UserErrorException(f"encoding: {encoding!r} is not one of {', '.join(ENCODINGS)}.")
    return ENCODINGS[encoding.lower()]


def _check_flag(field: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise UserErrorException(f"{field}: expected True or False, got {value!r}.")
