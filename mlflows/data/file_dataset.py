"""FileDataset: files, wherever they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlflows.data import definition, expressions, sampling, view
from mlflows.data.abstract_dataset import AbstractDataset
from mlflows.data.dataset_consumption_config import DOWNLOAD_MODE, HDFS_MODE, MOUNT_MODE, DatasetConsumptionConfig
from mlflows.data.definition import DataFile, Step
from mlflows.data.mount import MountContext
from mlflows.data.store import Gone, local_path
from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from _typeshed import StrPath


class FileDataset(AbstractDataset):
    """Files; made with Dataset.File."""

    _kind = definition.FILE

    def to_path(self) -> list[str]:
        """The files' names in the dataset, each with ``/`` in front, sorted.

        Raises:
            UserErrorException: there are no files, or their place does not answer.
        """
        return ["/" + file.name for file in self._files()]

    def download(self, target_path: StrPath | None = None, overwrite: bool = False, ignore_not_found: bool = False) -> list[str]:
        """Copy the files into a folder; their names in the dataset are kept.

        Args:
            target_path: the folder, made if it is not there; a new temporary one if none.
            overwrite: replace files that are there.
            ignore_not_found: leave out a file that is gone by the time it is copied.

        Returns:
            The paths of the copies.

        Raises:
            UserErrorException: a file is there already, and ``overwrite`` is not given: then nothing is copied; a file is gone; a name
                leads out of the folder.
        """
        if target_path is not None and (not isinstance(target_path, (str, os.PathLike)) or not os.fspath(target_path)):
            raise UserErrorException(f"target_path: {target_path!r} is not a folder. Give a folder to download to.")
        if target_path is not None and os.path.lexists(target_path) and not os.path.isdir(target_path):
            raise UserErrorException(f"target_path: {os.fspath(target_path)!r} is not a folder. Give a folder to download to.")
        files = self._files()
        folder = _temporary() if target_path is None else os.path.abspath(os.fspath(target_path))
        there = [file.name for file in files if os.path.lexists(local_path(folder, file.name))]
        if there and not overwrite:
            raise UserErrorException(
                f"target_path: {len(there)} of {len(files)} files are in {folder} already, the first is {there[0]}. Give overwrite=True, "
                "or another folder."
            )
        try:
            return view.fill(files, folder, writable=True, ignore_gone=ignore_not_found)
        except Gone as error:
            raise UserErrorException(f"{error.message} ignore_not_found=True leaves out what is gone.") from error

    def mount(self, mount_point: StrPath | None = None, **kwargs: Any) -> MountContext:
        """A read-only folder with the files, for as long as it is wanted; nothing is fetched before ``start``.

        Args:
            mount_point: an empty or new folder; a temporary one if none.

        Raises:
            UserErrorException: ``mount_point`` is not a path; an argument that there is not.
        """
        if kwargs:
            raise UserErrorException(f"{', '.join(kwargs)}: not an argument of mount. Leave it out.")
        if mount_point is not None and (not isinstance(mount_point, (str, os.PathLike)) or not os.fspath(mount_point)):
            raise UserErrorException(f"mount_point: {mount_point!r} is not a folder.")
        given = None if mount_point is None else os.fspath(mount_point)
        return MountContext(lambda folder: view.fill(self._files(), folder, writable=False), given)

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """An input of a run, mounted, with a name that is made up."""
        return DatasetConsumptionConfig(None, self, MOUNT_MODE, path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """An input of a run, copied to where the script runs, with a name that is made up."""
        return DatasetConsumptionConfig(None, self, DOWNLOAD_MODE, path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """An input of a run, as addresses for Spark, with a name that is made up."""
        return DatasetConsumptionConfig(None, self, HDFS_MODE)

    def file_metadata(self, col: str) -> expressions.Expression:
        """What is known of a file, for ``filter``: ``Size`` in bytes, ``LastModifiedTime``, ``Extension`` with its dot, ``CanSeek``.

        Raises:
            UserErrorException: none of these.
        """
        return expressions.file_metadata(col)

    def filter(self, expression: expressions.Expression) -> FileDataset:
        """The files that meet a condition on metadata or partition columns.

        Raises:
            UserErrorException: not a condition.
        """
        return self._then("filter", expression=expressions.tree_of(expression))

    def _files(self) -> list[DataFile]:
        files = self._all_files()
        for step in self._definition.steps:
            files = _STEPS[step["do"]](files, step)
        return files


def _sampled(files: list[DataFile], step: Step) -> list[DataFile]:
    return [file for file in files if sampling.draw(step["seed"], file.name) < step["probability"]]


def _split(files: list[DataFile], step: Step) -> list[DataFile]:
    return [file for file in files if (sampling.draw(step["seed"], file.name) >= step["percentage"]) == bool(step["part"])]


def _filtered(files: list[DataFile], step: Step) -> list[DataFile]:
    return [file for file in files if expressions.evaluate(step["expression"], lambda kind, name: _known(file, kind, name))]  # noqa: B023


def _known(file: DataFile, kind: str, name: str) -> Any:
    if kind == "column":
        if name not in file.values:
            raise UserErrorException(f"expression: files have no column {name!r}. They have: {', '.join(file.values) or 'none'}.")
        return file.values[name]
    return {
        "Size": file.item.size,
        "LastModifiedTime": file.item.changed,
        "Extension": os.path.splitext(file.name)[1],
        "CanSeek": True,
    }[name]


_STEPS: dict[str, Callable[[list[DataFile], Step], list[DataFile]]] = {
    "take": lambda files, step: files[: step["count"]],
    "skip": lambda files, step: files[step["count"] :],
    "sample": _sampled,
    "split": _split,
    "filter": _filtered,
}


def _temporary() -> str:
    import tempfile  # slow to import

    return tempfile.mkdtemp(prefix="mlflows-download-")
