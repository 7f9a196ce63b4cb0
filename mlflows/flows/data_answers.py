"""What a script may do with the datasets and datastores of its workspace, through the mailbox.

Each answer is given in a thread of its own. What may take long is waited for as long as this process lives (job/mailbox.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflows import exceptions
from mlflows.data import view
from mlflows.data.abstract_dataset import AbstractDataset
from mlflows.data.dataset_factory import FileDatasetFactory, TabularDatasetFactory
from mlflows.data.datastore import Datastore, datastores_of
from mlflows.data.datastore_kinds import AbstractDatastore
from mlflows.data.definition import DataFile, digest_of
from mlflows.data.resolving import dataset_of
from mlflows.data.store import checked_path
from mlflows.exceptions import AzureMLException, UserErrorException
from mlflows.flows import frame_file
from mlflows.flows.context import RunWorkspace
from mlflows.job import layout
from mlflows.spec import JobSpec

_NAME = 24
"""Hex of the name of a folder that a dataset's files are in."""

_FACTORIES: dict[str, Callable[..., AbstractDataset]] = {
    "from_files": FileDatasetFactory.from_files,
    "from_delimited_files": TabularDatasetFactory.from_delimited_files,
    "from_parquet_files": TabularDatasetFactory.from_parquet_files,
    "from_json_lines_files": TabularDatasetFactory.from_json_lines_files,
}

Arguments = dict[str, Any]
Described = dict[str, Any]


class DataAnswers:
    """The answers for one job.

    Args:
        job: what runs; its inputs are known by their ids, whether they are registered or not.
        workspace: the run's.
        folder: the job folder. Files are put into its ``inputs``, and stay until the run ends.
    """

    def __init__(self, job: JobSpec, workspace: RunWorkspace, folder: Path) -> None:
        self._inputs = {each["id"]: each for each in job.inputs.values() if each.get("kind") == "dataset"}
        self._workspace = workspace
        self._folder = folder / layout.INPUTS
        self._ended = folder / layout.STATUS_FILE
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def datasets(self, asked: Arguments) -> dict[str, Described]:
        """Name -> newest version of what is registered."""
        return {name: _described(each) for name, each in AbstractDataset.get_all(self._workspace).items()}

    def dataset_by_name(self, asked: Arguments) -> Described:
        """A registered dataset: ``name``, ``version``."""
        return _described(AbstractDataset.get_by_name(self._workspace, asked["name"], asked.get("version") or "latest"))

    def dataset_by_id(self, asked: Arguments) -> Described:
        """A registered dataset, or an input of the run: ``id``."""
        own = self._inputs.get(asked["id"])
        if own is not None and own.get("name") is None:
            return {**_described(dataset_of(self._workspace, own["definition"])), "id": asked["id"]}
        return _described(AbstractDataset.get_by_id(self._workspace, asked["id"]))

    def dataset_register(self, asked: Arguments) -> Described:
        """Keep a ``definition``: ``name``, ``description``, ``tags``, ``create_new_version``."""
        dataset = dataset_of(self._workspace, asked["definition"])
        said = {name: asked.get(name) for name in ("description", "tags")}
        return _described(
            dataset.register(self._workspace, asked["name"], **said, create_new_version=bool(asked.get("create_new_version")))
        )

    def dataset_change(self, asked: Arguments) -> Described:
        """Give a version, by its ``id``, another ``description`` and other ``tags``; None stays."""
        dataset = AbstractDataset.get_by_id(self._workspace, asked["id"])
        return _described(dataset.update(asked.get("description"), asked.get("tags")))

    def dataset_unregister(self, asked: Arguments) -> None:
        """Remove all versions of a ``name``."""
        AbstractDataset.get_by_name(self._workspace, asked["name"]).unregister_all_versions()

    def dataset_made(self, asked: Arguments) -> Described:
        """A new dataset, for interpreters that do not have the factories.

        ``make`` is the name of the factory's method, ``path`` a list whose entries are paths, addresses or ``[datastore, path]``,
        ``options`` the method's other arguments.
        """
        paths = [each if isinstance(each, str) else (Datastore.get(self._workspace, each[0]), each[1]) for each in asked["path"]]
        try:
            made: AbstractDataset = _FACTORIES[asked["make"]](paths, **asked["options"])
        except TypeError as error:  # an option that the method does not have
            raise UserErrorException(str(error)) from error
        return _described(made)

    def dataset_listing(self, asked: Arguments) -> list[dict[str, Any]]:
        """The files of a ``definition``; with ``chosen`` those that its steps leave. Nothing is fetched."""
        dataset = dataset_of(self._workspace, asked["definition"])
        return [_listed(file) for file in (dataset._files() if asked.get("chosen") else dataset._all_files())]

    def dataset_files(self, asked: Arguments) -> dict[str, Any]:
        """The files of a ``definition`` on this machine, read-only: their folder, and of each its name, path and partition values."""
        folder, files = self._view(asked["definition"])
        found = [{"name": file.name, "path": os.path.join(folder, file.name), "values": _values(file)} for file in files]
        return {"folder": folder, "files": found}

    def dataset_table(self, asked: Arguments) -> dict[str, str]:
        """The rows of a table in a Parquet file: ``definition``, ``on_error``, ``out_of_range_datetime``."""
        folder, files = self._view(asked["definition"])
        options = {name: asked.get(name) or "null" for name in ("on_error", "out_of_range_datetime")}
        path = f"{folder}-{'-'.join(options.values())}.parquet"
        with self._alone(path):
            if not os.path.exists(path):
                names = [{"name": file.name, "values": _values(file)} for file in files]
                _write_table({"definition": asked["definition"], "folder": folder, "files": names, "path": path, **options})
        return {"path": path}

    def datastore(self, asked: Arguments) -> Described:
        """A datastore by its ``name``; the default one without."""
        return _described_store(self._store(asked.get("name")))

    def datastores(self, asked: Arguments) -> dict[str, Described]:
        """All datastores by name."""
        return {name: _described_store(each) for name, each in datastores_of(self._workspace).items()}

    def datastore_upload(self, asked: Arguments) -> int:
        """Copy ``files``, pairs of a path here and one in the datastore ``name``; how many were given."""
        pairs = [_checked_pair(each) for each in asked["files"]]
        folder = checked_path("folder", asked.get("folder") or "", f"the datastore {asked['name']!r}")
        if any(folder and not path.startswith(f"{folder}/") for _, path in pairs):
            raise UserErrorException(f"files: not all of them are below {folder!r} in datastore {asked['name']!r}.")
        if pairs:
            self._store(asked["name"])._send(pairs, folder, bool(asked.get("overwrite")), False)
        return len(pairs)

    def datastore_download(self, asked: Arguments) -> int:
        """Copy what begins with ``prefix`` in the datastore ``name`` to the folder ``target``; how many files there are."""
        target = _absolute("target", asked["target"])
        return self._store(asked["name"]).download(target, asked.get("prefix"), bool(asked.get("overwrite")), show_progress=False)

    def _store(self, name: str | None) -> AbstractDatastore:
        return Datastore.get_default(self._workspace) if name is None else Datastore.get(self._workspace, name)

    def _view(self, definition: Mapping[str, Any]) -> tuple[str, Sequence[DataFile]]:
        """The folder with a dataset's files, and the files. What changed since somebody asked last is another folder."""
        dataset = dataset_of(self._workspace, definition)
        files = dataset._files()
        said = dataset._definition.content() + digest_of(dataset._definition, files)
        folder = str(self._folder / f".{hashlib.sha256(said.encode()).hexdigest()[:_NAME]}")
        with self._alone(folder):
            if not os.path.isdir(folder):
                os.makedirs(self._folder, exist_ok=True)
                making = folder + ".making"
                view.remove(making)  # of a flow that has died
                view.fill(files, making, False, self._tick)
                os.rename(making, folder)
        return folder, files

    def _tick(self, size: int) -> None:
        """Nobody waits for the files of a job that has ended."""
        if self._ended.exists():
            raise UserErrorException("The job has ended.")

    def _alone(self, what: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(what, threading.Lock())


OPERATIONS = (
    "datasets",
    "dataset_by_name",
    "dataset_by_id",
    "dataset_register",
    "dataset_change",
    "dataset_unregister",
    "dataset_made",
    "dataset_listing",
    "dataset_files",
    "dataset_table",
    "datastore",
    "datastores",
    "datastore_upload",
    "datastore_download",
)
"""Each the method of its name."""


def _described(dataset: AbstractDataset) -> Described:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "version": dataset.version,
        "kind": dataset._definition.kind,
        "description": dataset.description,
        "tags": dataset.tags,
        "definition": dataset._definition.to_dict(),
    }


def _described_store(store: AbstractDatastore) -> Described:
    return {name: getattr(store, name) for name in ("name", "datastore_type", "account_name", "container_name")}


def _listed(file: DataFile) -> dict[str, Any]:
    item = file.item
    changed = None if item.changed is None else item.changed.isoformat()
    return {"name": file.name, "size": item.size, "version": item.version, "changed": changed, "values": _values(file)}


def _values(file: DataFile) -> dict[str, Any]:
    return {name: {"time": value.isoformat()} if isinstance(value, datetime) else value for name, value in file.values.items()}


def _checked_pair(pair: Sequence[str]) -> tuple[str, str]:
    source, path = pair
    if not os.path.isfile(_absolute("files", source)):
        raise UserErrorException(f"files: {source!r} is not a file.")
    return source, checked_path("files", path, "the datastore")


def _absolute(field: str, path: Any) -> str:
    if not isinstance(path, str) or not os.path.isabs(path):
        raise UserErrorException(f"{field}: {path!r} is not an absolute path.")
    return path


def _write_table(work: Mapping[str, Any]) -> None:
    """In a process of its own: pandas would hold up all runs that this process drives."""
    command = [sys.executable, "-m", frame_file.__name__]
    done = subprocess.run(command, input=json.dumps(work), capture_output=True, text=True)
    if done.returncode == frame_file.REFUSED:
        said = json.loads(done.stdout)
        raise getattr(exceptions, said["type"], UserErrorException)(said["message"])
    if done.returncode == -signal.SIGKILL:
        raise AzureMLException(
            "The table was not made, its process was killed (-9). Memory may have run out: take fewer rows or columns (keep_columns, take, "
            "filter), or read the files one by one."
        )
    if done.returncode:
        raise AzureMLException(f"The table was not made, its process ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
