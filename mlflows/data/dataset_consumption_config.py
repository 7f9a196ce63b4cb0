"""DatasetConsumptionConfig: a dataset as a named input of a run."""

from __future__ import annotations

import os
import re
from typing import Any

from mlflows.data.definition import TABULAR, Definition
from mlflows.exceptions import UserErrorException

DIRECT_MODE = "direct"
MOUNT_MODE = "mount"
DOWNLOAD_MODE = "download"
HDFS_MODE = "hdfs"
MODES = (DIRECT_MODE, MOUNT_MODE, DOWNLOAD_MODE, HDFS_MODE)

_NAME = re.compile(r"[A-Za-z_]\w*")


class DatasetConsumptionConfig:
    """How a run gets a dataset.

    Args:
        name: of the input, also of its environment variable.
        dataset: a dataset, or ``(workspace, name)`` or ``(workspace, name, version)`` of a registered one.
        mode: ``direct``, ``mount``, ``download`` or ``hdfs``.
        path_on_compute: where the script finds the files.

    Raises:
        UserErrorException: a bad name, dataset, mode or path; a table is to be mounted or downloaded.
    """

    def __init__(self, name: str | None, dataset: Any, mode: str = DIRECT_MODE, path_on_compute: str | None = None) -> None:
        _check_dataset(dataset)
        if mode not in MODES:
            raise UserErrorException(f"mode: {mode!r} is not one of {', '.join(MODES)}.")
        if path_on_compute is not None and (not isinstance(path_on_compute, str) or not path_on_compute):
            raise UserErrorException(f"path_on_compute: expected a path, got {path_on_compute!r}.")
        definition = getattr(dataset, "_definition", None)
        if mode != DIRECT_MODE and isinstance(definition, Definition) and definition.kind == TABULAR:
            raise UserErrorException(
                f"mode: a TabularDataset cannot be an input by {mode}: it has rows, not files. Use dataset.as_named_input(name) alone, or "
                "make a FileDataset of the same path."
            )
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.name = _made_up(dataset) if name is None else name

    @property
    def name(self) -> str:
        """Name of the input."""
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise UserErrorException(
                f"name: {value!r} is not the name of an input. Use letters, digits and underscores, and no digit in front."
            )
        self._name = value

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, mounted."""
        return DatasetConsumptionConfig(self.name, self.dataset, MOUNT_MODE, path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, copied to where the script runs."""
        return DatasetConsumptionConfig(self.name, self.dataset, DOWNLOAD_MODE, path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """The same, as addresses for Spark."""
        return DatasetConsumptionConfig(self.name, self.dataset, HDFS_MODE)

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, mode={self.mode!r})"


def _check_dataset(dataset: Any) -> None:
    if isinstance(getattr(dataset, "_definition", None), Definition):
        return
    is_pair = isinstance(dataset, tuple) and len(dataset) in (2, 3) and isinstance(getattr(dataset[0], "name", None), str)
    if not is_pair or not isinstance(dataset[1], str):
        raise UserErrorException(f"dataset: expected a dataset or (workspace, 'name'), got {dataset!r}.")


def _made_up(dataset: Any) -> str:
    """Of a registered dataset always the same."""
    return f"input__{str(getattr(dataset, 'id', None) or os.urandom(4).hex())[:8]}"
