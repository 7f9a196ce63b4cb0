"""DatasetConsumptionConfig: a dataset as a named input of a run."""

from __future__ import annotations

import os
import re
from typing import Any

from mlflows.data import dataset_registry
from mlflows.data.definition import TABULAR, Definition, made_up_id
from mlflows.exceptions import UserErrorException
from mlflows.spec import JobArgument

DIRECT_MODE = "direct"
MOUNT_MODE = "mount"
DOWNLOAD_MODE = "download"
HDFS_MODE = "hdfs"
MODES = (DIRECT_MODE, MOUNT_MODE, DOWNLOAD_MODE, HDFS_MODE)

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class DatasetConsumptionConfig:
    """How a run gets a dataset.

    Args:
        name: of the input, also of its environment variable.
        dataset: a dataset, or ``(workspace, name)`` or ``(workspace, name, version)`` of a registered one, which is looked up at submit.
        mode: ``direct``, ``mount``, ``download`` or ``hdfs``.
        path_on_compute: where the script finds the files.

    Raises:
        UserErrorException: a bad name, dataset, mode or path; a table is to be mounted or downloaded.
    """

    def __init__(self, name: str | None, dataset: Any, mode: str = DIRECT_MODE, path_on_compute: str | None = None) -> None:
        _check_dataset(dataset)
        _check_mode(mode, getattr(dataset, "_definition", None))
        _check_path(path_on_compute)
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
        self._name = checked_name("input", value)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, mounted."""
        return DatasetConsumptionConfig(self.name, self.dataset, MOUNT_MODE, path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """The same, copied to where the script runs."""
        return DatasetConsumptionConfig(self.name, self.dataset, DOWNLOAD_MODE, path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """The same, as addresses for Spark."""
        return DatasetConsumptionConfig(self.name, self.dataset, HDFS_MODE)

    def _as_job_argument(self) -> JobArgument:
        """See JobArgument. A dataset that is given by name is looked up now.

        Raises:
            UserErrorException: there is no such dataset; a table is to be mounted or downloaded; it is what another run has yet to write.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        definition, id, name, version, workspace = self._found()
        _check_mode(self.mode, definition)  # both may have been set since
        _check_path(self.path_on_compute)
        given = {
            "kind": "dataset",
            "mode": self.mode,
            "path_on_compute": self.path_on_compute,
            "definition": definition.to_dict(),
            "id": id or made_up_id(definition),
            "name": name,
            "version": version,
        }
        in_datastore = any(source.kind == "datastore" for source in definition.sources)
        return JobArgument(f"$AZUREML_DATAREFERENCE_{self._name}", {self._name: given}, {}, workspace if in_datastore else None)

    def _found(self) -> tuple[Definition, str | None, str | None, int | None, str | None]:
        """Definition, id, name and version of the dataset, and the name of its workspace."""
        if _is_output(self.dataset):
            raise UserErrorException(
                f"dataset: {self.dataset!r} is what another step writes, and steps of pipelines are not available in this version yet. Use "
                "register_on_complete('name') on it, and give the run that comes after Dataset.get_by_name(workspace, 'name')."
            )
        if isinstance(self.dataset, tuple):
            workspace, wanted, *version = self.dataset
            found = dataset_registry.by_name(workspace._prefect(), workspace.name, wanted, *version)
            return Definition.from_dict(found.definition), found.id, found.name, found.version, workspace.name
        mine = self.dataset
        return mine._definition, mine.id, mine.name, mine.version, getattr(mine._workspace, "name", None)

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig({self.name!r}, {self.dataset!r}, mode={self.mode!r})"


def checked_name(word: str, name: object) -> str:
    """The name of an input or output, which ``word`` is; it becomes a variable's.

    Raises:
        UserErrorException: it is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"name: {name!r} is not the name of an {word}. Use letters, digits and underscores, and no digit in front."
        )
    return name


def _check_dataset(dataset: Any) -> None:
    if isinstance(getattr(dataset, "_definition", None), Definition) or _is_output(dataset):
        return
    is_pair = isinstance(dataset, tuple) and len(dataset) in (2, 3) and isinstance(getattr(dataset[0], "name", None), str)
    if not is_pair or not hasattr(dataset[0], "_prefect") or not isinstance(dataset[1], str):
        raise UserErrorException(f"dataset: expected a dataset or (workspace, 'name'), got {dataset!r}.")


def _check_path(path: Any) -> None:
    if path is not None and (not isinstance(path, str) or not path or "\0" in path):
        raise UserErrorException(f"path_on_compute: expected a path, got {path!r}.")


def _check_mode(mode: str, definition: Definition | None) -> None:
    if mode not in MODES:
        raise UserErrorException(f"mode: {mode!r} is not one of {', '.join(MODES)}.")
    if mode != DIRECT_MODE and isinstance(definition, Definition) and definition.kind == TABULAR:
        raise UserErrorException(
            f"mode: a TabularDataset cannot be an input by {mode}: it has rows, not files. Use dataset.as_named_input(name) alone, or "
            "make a FileDataset of the same path."
        )


def _is_output(dataset: Any) -> bool:
    return hasattr(dataset, "_as_output")


def _made_up(dataset: Any) -> str:
    """Of one dataset always the same; only of one that is given by name not."""
    definition = getattr(dataset, "_definition", None)
    known = getattr(dataset, "id", None) or (made_up_id(definition) if isinstance(definition, Definition) else os.urandom(4).hex())
    return f"input__{known[:8]}"
