"""What a run reads and writes is made ready before its job starts: inputs lie in the job folder, outputs have a place."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflows.config.arguments import is_taken
from mlflows.data import view
from mlflows.data.datastore import Datastore
from mlflows.data.definition import FILE, DataFile, Definition, Source, digest_of
from mlflows.data.resolving import dataset_of
from mlflows.data.store import checked_path, matching
from mlflows.data.transfer import human
from mlflows.exceptions import UserErrorException
from mlflows.flows import data_record
from mlflows.flows.context import RunContext
from mlflows.flows.data_record import DataRecord, Delivery
from mlflows.history import runs
from mlflows.history.artifacts import Artifacts
from mlflows.job import layout
from mlflows.spec import JobSpec

LINE_SECONDS = 5.0
"""Between two lines about an input that takes long."""
DIGEST = 32
"""Hex of a digest that MLflow is told; it takes 36."""

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
    there = data_record.read(context.folder, context.attempt.number)
    if there is not None:
        return there
    remove(context.folder)
    provider = _Provider(context, job, say)
    try:
        for name, each in job.inputs.items():
            _PROVIDE[_kind_of(each)](provider, name, each)
    except _Stopped:
        return None
    for name, each in job.outputs.items():
        provider.output(name, each)
    provider.record.variables.update(_names(job))
    provider.record.write(context.folder)
    return provider.record


def remove(folder: Path) -> None:
    """Remove the inputs of a job that has ended, and the links to them."""
    record = data_record.read(folder)
    if record is not None:
        data_record.unlink(record, folder)
    view.remove(str(folder / layout.INPUTS))


class _Provider:
    """One run's inputs and outputs on their way into its record."""

    def __init__(self, context: RunContext, job: JobSpec, say: Say) -> None:
        self.record = DataRecord(context.attempt.number)
        self._context = context
        self._folder = context.folder
        self._workspace = context.workspace
        self._job = job
        self._say = say

    def dataset(self, name: str, spec: Input) -> None:
        """Files, or a table that the script reads by its id."""
        dataset = dataset_of(self._workspace, spec["definition"])
        files = dataset._files()
        definition = Definition.from_dict(spec["definition"])
        self._tell(spec.get("name") or name, digest_of(definition, files), definition.sources, files)
        if spec["mode"] == "direct":
            self._set(name, spec["id"])
            return
        folder = self._filled(name, files, writable=spec["mode"] == "download")
        path = self._seen_at(spec.get("path_on_compute"), folder)
        is_file = definition.kind == FILE and len(definition.sources) == 1 and len(files) == 1 and _names_one(definition, files[0])
        self._set(name, os.path.join(path, files[0].name) if is_file else path)

    def reference(self, name: str, spec: Input) -> None:
        """A path of a datastore: to read, to write, or both."""
        store = Datastore.get(self._workspace, spec["datastore"])._store()
        path = checked_path("path_on_datastore", spec.get("path") or "", f"the datastore {spec['datastore']!r}")
        if spec["mode"] == "mount" and store.folder is not None:
            whole = os.path.join(store.folder, path)
            if not os.path.lexists(whole):
                os.makedirs(whole, exist_ok=True)
            self._set(name, self._seen_at(spec.get("path_on_compute"), whole))
            return
        delivery = Delivery(spec["datastore"], path, overwrite=bool(spec.get("overwrite")))
        if spec["mode"] == "upload":
            delivery.folder = self._made(layout.DATA_OUTPUTS, name)
            self.record.deliveries[name] = delivery
            self._set(name, self._seen_at(spec.get("path_on_compute"), delivery.folder))
            return
        files = [DataFile(_below(path, item.path), store, item, {}) for item in matching(store, path)]
        self._tell(name, _digest_of(files), [Source("datastore", spec["datastore"], path)], files)
        folder = self._filled(name, files, writable=True)
        seen = self._seen_at(spec.get("path_on_compute"), folder)
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
        for file in found:
            artifacts.download(file.path, Path(folder, _below(wanted, file.path)))
            progress.tick(file.size)
        seen = self._seen_at(spec.get("path_on_compute"), folder)
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
        if spec["mode"] == "mount" and store.folder is not None:
            folder = os.path.join(store.folder, path)
            os.makedirs(folder, exist_ok=True)
        else:
            folder = delivery.folder = self._made(layout.DATA_OUTPUTS, name)
        self.record.deliveries[name] = delivery
        self._set(name, self._seen_at(spec.get("source"), folder))

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

    def _seen_at(self, wanted: str | None, folder: str) -> str:
        """Where the script finds a folder, which a home makes it see there."""
        if wanted is None:
            return folder
        code = str(self._folder / layout.CODE)
        path = os.path.normpath(os.path.join(code, wanted))
        if not os.path.isabs(wanted) and (path == code or not path.startswith(code + os.sep)):
            raise UserErrorException(
                f"path_on_compute: {wanted!r} leads out of the script's folder. Give a path in it, or an absolute one."
            )
        if os.path.isabs(wanted) and os.path.lexists(path) and os.path.exists(path) and os.path.realpath(path) != os.path.realpath(folder):
            raise UserErrorException(f"path_on_compute: {wanted!r} is there already on this machine. Remove it, or give another path.")
        self.record.links[wanted] = folder
        return path

    def _set(self, name: str, value: str) -> None:
        self.record.variables[f"AZUREML_DATAREFERENCE_{name}"] = value
        self.record.variables[name] = value
        upper = name.upper()
        if not is_taken(upper) and upper not in {*self._job.inputs, *self._job.outputs, *self._job.environment_variables}:
            self.record.variables[upper] = value

    def _tell(self, name: str, digest: str, sources: Sequence[Source], files: Sequence[DataFile]) -> None:
        size = sum(max(file.item.size, 0) for file in files)
        kind, source = _source_for_mlflow(sources, files)
        profile = json.dumps({"num_files": len(files), "size_bytes": size})
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


def state_of(folder: str) -> dict[str, list[int]]:
    """Path -> size and time (ns) of each file below a folder."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path):
                seen = os.stat(path)
                found[os.path.relpath(path, folder)] = [seen.st_size, seen.st_mtime_ns]
    return found


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
