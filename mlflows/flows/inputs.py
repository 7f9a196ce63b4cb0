"""What a run reads and writes is made ready before its job starts: inputs lie in the job folder, outputs have a place."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from mlflows.config.arguments import is_taken
from mlflows.data import view
from mlflows.data.datastore import Datastore
from mlflows.data.definition import FILE, DataFile, Definition, Source, digest_of
from mlflows.data.local_store import LocalStore
from mlflows.data.resolving import dataset_of
from mlflows.data.store import checked_path, matching
from mlflows.data.transfer import human
from mlflows.exceptions import UserErrorException
from mlflows.flows import data_record
from mlflows.flows.context import RunContext
from mlflows.flows.data_record import DataRecord, Delivery
from mlflows.flows.outputs import state_of
from mlflows.history import runs
from mlflows.history.artifacts import Artifacts
from mlflows.job import layout
from mlflows.spec import JobSpec

LOCK_FILE = "data.lock"
"""Held by who provides: a flow that comes meanwhile waits, and finds all of it there."""
LINE_SECONDS = 5.0
"""Between two lines about an input that takes long."""
DIGEST = 32
"""Hex of a digest that MLflow is told; it takes 36."""

Logger = Union[logging.Logger, "logging.LoggerAdapter[Any]"]  # LoggerAdapter takes no type before Python 3.11
Say = Callable[[str], None]
Input = Mapping[str, Any]


class _Stopped(Exception):
    """The run is to be canceled."""


def provide(context: RunContext, job: JobSpec, say: Say) -> DataRecord | None:
    """Everything that the run reads is at hand after it; None: the run was canceled meanwhile.

    What an earlier flow of the same attempt has provided stays.

    Args:
        context: the run.
        job: with its inputs and outputs.
        say: takes lines about what takes long.

    Raises:
        UserErrorException: an input is not there, or a path cannot be used.
        ServiceException, AuthenticationException: a place does not answer, or refuses.
    """
    with open(context.folder / LOCK_FILE, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        former = data_record.read(context.folder)
        if former is not None and former.attempt == context.attempt.number:
            return former
        if former is not None:
            remove(context.folder)
        provider = _Provider(context, job, say, former)
        try:
            return provider.all()
        except _Stopped:
            return None


def remove(folder: Path) -> None:
    """Remove the inputs of a job that has ended, and the links to them; nothing happens if there are none.

    Raises:
        OSError: something cannot be removed.
    """
    record = data_record.read(folder)
    if record is not None:
        data_record.unlink(record, folder)
    if os.path.lexists(folder / layout.INPUTS):
        view.remove(str(folder / layout.INPUTS))


def clear(folder: Path, logger: Logger) -> None:
    """As remove; what cannot be removed is a warning."""
    try:
        remove(folder)
    except (OSError, ValueError) as error:
        logger.warning("The inputs of the run stay in %s: %s", folder / layout.INPUTS, error)


class _Provider:
    """One run's inputs and outputs on their way into its record."""

    def __init__(self, context: RunContext, job: JobSpec, say: Say, former: DataRecord | None) -> None:
        self.record = DataRecord(context.attempt.number)
        self._context = context
        self._folder = context.folder
        self._workspace = context.workspace
        self._job = job
        self._say = say
        self._former = former.deliveries if former is not None else {}

    def all(self) -> DataRecord:
        """The record of everything, written down.

        Raises:
            _Stopped: the run is to be canceled.
        """
        for name, each in self._job.inputs.items():
            self._check_wanted()
            _PROVIDE[_kind_of(each)](self, name, each)
        for name, each in self._job.outputs.items():
            self.output(name, each)
        self.record.variables.update(_names(self._job))
        self._check_wanted()
        self.record.write(self._folder)
        return self.record

    def dataset(self, name: str, spec: Input) -> None:
        """Files, or a table that the script reads by its id."""
        dataset = dataset_of(self._workspace, spec["definition"])
        files = dataset._files()
        definition = dataset._definition
        self._tell(spec.get("name") or name, digest_of(definition, files), definition.sources, files)
        if spec["mode"] == "direct":
            self._set(name, spec["id"])
            return
        folder = self._filled(name, files, writable=spec["mode"] == "download")
        path = self._seen_at("path_on_compute", spec.get("path_on_compute"), folder, name)
        is_file = definition.kind == FILE and len(definition.sources) == 1 and len(files) == 1 and _names_one(definition, files[0])
        self._set(name, os.path.join(path, files[0].name) if is_file else path)

    def reference(self, name: str, spec: Input) -> None:
        """A path of a datastore: to read, to write, or both."""
        store = Datastore.get(self._workspace, spec["datastore"])._store()
        path = checked_path("path_on_datastore", spec.get("path") or "", f"the datastore {spec['datastore']!r}")
        if spec["mode"] == "mount" and isinstance(store, LocalStore):
            whole = os.path.join(store.folder, path)
            if not os.path.isfile(whole):
                whole = store.below(path, make=True)
            self._set(name, self._seen_at("path_on_compute", spec.get("path_on_compute"), whole, name))
            return
        delivery = Delivery(spec["datastore"], path, overwrite=bool(spec.get("overwrite")))
        if spec["mode"] == "upload":
            self._deliver_from(name, delivery)
            self._set(name, self._seen_at("path_on_compute", spec.get("path_on_compute"), str(delivery.folder), name))
            return
        files = [DataFile(_below(path, item.path), store, item, {}) for item in matching(store, path)]
        if not files and spec["mode"] == "download":
            raise UserErrorException(f"There is no file at {path or 'the root'} of datastore {spec['datastore']!r}. Check the path.")
        self._tell(name, _digest_of(files), [Source("datastore", spec["datastore"], path)], files)
        folder = self._filled(name, files, writable=True)
        seen = self._seen_at("path_on_compute", spec.get("path_on_compute"), folder, name)
        one = len(files) == 1 and files[0].item.path == path
        self._set(name, os.path.join(seen, files[0].name) if one else seen)
        if spec["mode"] == "mount":  # what the script writes there goes back
            delivery.folder, delivery.overwrite, delivery.path = folder, True, os.path.dirname(path) if one else path
            delivery.before = state_of(folder)
            self.record.deliveries[name] = delivery

    def run_outputs(self, name: str, spec: Input) -> None:
        """Files that an earlier run has kept."""
        tracking = self._context.tracking
        run = runs.find_run(tracking, spec["run_id"])
        if run is None:
            raise UserErrorException(f"{name}: there is no run {spec['run_id']!r} whose files could be read.")
        artifacts = Artifacts(tracking, run.run_id, run.artifact_uri)
        wanted = checked_path(name, spec.get("path") or "", f"the files of run {spec['run_id']!r}")
        folder = self._made(layout.INPUTS, name)
        beside = artifacts.files(os.path.dirname(wanted))
        found = list(artifacts.files(wanted)) or [file for file in beside if file.path == wanted]
        if not found:
            raise UserErrorException(f"{name}: run {spec['run_id']!r} has no file {wanted or 'at all'!r}.")
        progress = _Progress(self._context, self._say, name, sum(file.size for file in found))
        digest = hashlib.sha256(json.dumps([spec["run_id"], found]).encode()).hexdigest()
        self._tell_of(name, digest, "mlflows", {"uri": f"runs:/{run.run_id}/{wanted}"}, [file.size for file in found])
        for file in found:
            artifacts.download(file.path, Path(folder, _below(wanted, file.path)))
            progress.tick(file.size)
        seen = self._seen_at("path_on_compute", spec.get("path_on_compute"), folder, name)
        self._set(name, os.path.join(seen, os.path.basename(wanted)) if found[0].path == wanted else seen)

    def output(self, name: str, spec: Input) -> None:
        """A folder that the script writes."""
        datastore = Datastore.get(self._workspace, spec["datastore"]) if spec["datastore"] else Datastore.get_default(self._workspace)
        store = datastore._store()
        run_id = self._context.run.run_id
        path = spec["path"].replace("{run-id}", run_id).replace("{output-name}", name)
        path = checked_path("destination", path, f"the datastore {datastore.name!r}")
        delivery = Delivery(
            datastore.name,
            path,
            overwrite=bool(spec.get("overwrite")) or spec["mode"] == "mount",
            only_completed=spec["mode"] == "upload",
            source_globs=spec.get("source_globs"),
            register=spec.get("register"),
            reading=spec.get("reading"),
            partition_format=spec.get("partition_format"),
        )
        if spec["mode"] == "mount" and isinstance(store, LocalStore):
            folder = store.below(path, make=True)
            self.record.deliveries[name] = delivery
        else:
            folder = self._deliver_from(name, delivery)
        self._set(name, self._seen_at("source", spec.get("source"), folder, name))

    def _deliver_from(self, name: str, delivery: Delivery) -> str:
        """An empty folder; what an attempt before has sent to the same place is ours to replace."""
        folder = str(self._folder / layout.DATA_OUTPUTS / name)
        view.remove(folder)
        os.makedirs(folder)
        delivery.folder = folder
        before = self._former.get(name)
        if before is not None and (before.datastore, before.path) == (delivery.datastore, delivery.path):
            delivery.checked = before.checked
        self.record.deliveries[name] = delivery
        return folder

    def _filled(self, name: str, files: Sequence[DataFile], writable: bool) -> str:
        folder = str(self._folder / layout.INPUTS / name)
        progress = _Progress(self._context, self._say, name, sum(max(file.item.size, 0) for file in files))
        view.fill(files, folder, writable, progress.tick)
        progress.end(len(files))
        return folder

    def _made(self, room: str, name: str) -> str:
        folder = self._folder / room / name
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _seen_at(self, field: str, wanted: str | None, place: str, name: str) -> str:
        """Where the script finds a folder or file, which a home makes it see there."""
        if wanted is None:
            return place
        code = str(self._folder / layout.CODE)
        path = os.path.normpath(os.path.join(code, wanted))
        if not os.path.isabs(wanted) and not path.startswith(code + os.sep):
            raise UserErrorException(f"{field}: {wanted!r} leads out of the script's folder. Give a path in it, or an absolute one.")
        for other in self.record.links:
            taken = os.path.join(code, other)
            if f"{path}/".startswith(f"{taken}/") or f"{taken}/".startswith(f"{path}/"):
                raise UserErrorException(f"{field}: {wanted!r} and {other!r} are one in the other, or the same. Give each its own path.")
        if os.path.isabs(wanted) and _is_taken_by_others(path):
            raise UserErrorException(f"{field}: {wanted!r} is there already on this machine. Remove it, or give another path.")
        own = self._folder / layout.INPUTS / name
        if place != str(own) and not place.startswith(str(self._folder) + os.sep):
            own.parent.mkdir(exist_ok=True)
            own.symlink_to(place)  # each run links to a place of its own, so that two of them do not take each other's link for theirs
            place = str(own)
        self.record.links[path if os.path.isabs(wanted) else os.path.relpath(path, code)] = place
        return path

    def _check_wanted(self) -> None:
        if self._context.steering.cancel.is_set():
            raise _Stopped

    def _set(self, name: str, value: str) -> None:
        self.record.variables[f"AZUREML_DATAREFERENCE_{name}"] = value
        self.record.variables[name] = value
        upper = name.upper()
        if not is_taken(upper) and upper not in {*self._job.inputs, *self._job.outputs, *self._job.environment_variables}:
            self.record.variables[upper] = value

    def _tell(self, name: str, digest: str, sources: Sequence[Source], files: Sequence[DataFile]) -> None:
        self._tell_of(name, digest, *_source_for_mlflow(sources, files), [max(file.item.size, 0) for file in files])

    def _tell_of(self, name: str, digest: str, kind: str, source: Mapping[str, str], sizes: Sequence[int]) -> None:
        profile = json.dumps({"num_files": len(sizes), "size_bytes": sum(sizes)})
        told = {"name": name, "digest": digest[:DIGEST], "source_type": kind, "source": json.dumps(source), "profile": profile}
        self.record.datasets.append(told)


class _Progress:
    """Lines about an input that takes long; ends the work when the run is canceled."""

    def __init__(self, context: RunContext, say: Say, name: str, size: int) -> None:
        self._cancel = context.steering.cancel
        self._say, self._name, self._size = say, name, size
        self._began = self._said = time.monotonic()
        self._moved = 0

    def tick(self, size: int) -> None:
        """So many bytes more."""
        if self._cancel.is_set():
            raise _Stopped
        self._moved += size
        if time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            rate = human(int(self._moved / (self._said - self._began)))
            self._say(f"Input {self._name!r}: {human(self._moved)} of {human(self._size)}, {rate}/s")

    def end(self, files: int) -> None:
        """All of it is there."""
        fetched = f", {human(self._moved)} of it fetched" if self._moved else ""
        self._say(f"Input {self._name!r}: {files} files, {human(self._size)}{fetched}, {time.monotonic() - self._began:.1f} s")


def _is_taken_by_others(path: str) -> bool:
    """Something is there that is neither an empty folder nor what an ended run has left."""
    if os.path.isdir(path) and not os.path.islink(path):
        return bool(os.listdir(path))
    return os.path.exists(path)


def _kind_of(spec: Input) -> str:
    if spec.get("kind") not in _PROVIDE:
        raise UserErrorException(f"inputs: {spec.get('kind')!r} is no kind of input. There are: {', '.join(_PROVIDE)}.")
    return str(spec["kind"])


_PROVIDE: dict[str, Callable[[_Provider, str, Input], None]] = {
    "dataset": _Provider.dataset,
    "reference": _Provider.reference,
    "run_outputs": _Provider.run_outputs,
}


def _names(job: JobSpec) -> dict[str, str]:
    """The variables by which a script's Run knows its inputs and outputs."""
    datasets = [f"{name}:{spec['mode']}" for name, spec in job.inputs.items() if spec["kind"] == "dataset"]
    return {"AZUREML_DATASET_ENVIRONMENT_VARS": ",".join(datasets), "AZUREML_DATASET_FILE_OUTPUTS": ";".join(job.outputs)}


def _names_one(definition: Definition, file: DataFile) -> bool:
    """Whether a source says the path of a file, and not that of a folder with one file in it."""
    source = definition.sources[0].path
    return source == file.item.path or source.endswith("/" + file.item.path)


def _below(folder: str, path: str) -> str:
    return os.path.basename(path) if path == folder else path[len(folder) + 1 if folder else 0 :]


def _digest_of(files: Sequence[DataFile]) -> str:
    return digest_of(Definition(FILE, ()), files)


def _source_for_mlflow(sources: Sequence[Source], files: Sequence[DataFile]) -> tuple[str, dict[str, str]]:
    """Type and address of where data come from, of MLflow's kinds where it has one."""
    first = sources[0]
    store = files[0].store if files else None
    bucket = getattr(getattr(store, "_settings", None), "bucket", None)
    if first.kind == "url":
        return "http", {"url": f"{first.place}/{first.path}"}
    if bucket is not None:
        return "s3", {"uri": f"s3://{bucket}/{first.path}"}
    if store is not None and store.folder is not None:
        return "local", {"uri": os.path.join(store.folder, first.path)}
    return "mlflows", {"uri": f"{first.place}/{first.path}"}
