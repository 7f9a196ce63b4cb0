"""What a script has written goes to its datastore when its job has ended, and is registered where the run says so."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlflows.data import dataset_registry, globs, transfer, view
from mlflows.data.datastore import Datastore
from mlflows.data.definition import FILE, TABULAR, Definition, Source
from mlflows.data.parallel import in_parallel
from mlflows.data.store import Changed, Store
from mlflows.exceptions import AzureMLException, ServiceException, UserErrorException
from mlflows.flows import data_record
from mlflows.flows.context import RunWorkspace
from mlflows.flows.data_record import DataRecord, Delivery
from mlflows.history.closing import Outcome
from mlflows.history.status import RunStatus

RETRY_SECONDS = 5.0
LINE_SECONDS = 5.0
MOST_NAMED = 5

Say = Callable[[str], None]


def deliver(
    folder: Path, workspace: RunWorkspace, outcome: Outcome, say: Say, seconds: float, canceled: Callable[[], bool] = lambda: False
) -> Outcome:
    """Send what the script of a job folder has written. Whoever comes after a crash sends the rest.

    Args:
        folder: the job folder.
        workspace: the run's.
        outcome: how the job ended.
        say: takes lines about what is done.
        seconds: for how long a server that does not answer is asked again.
        canceled: whether the run is to be canceled: a server that does not answer is asked no more.

    Returns:
        The outcome; Failed where a run that went well could not deliver: its files stay in the job folder.
    """
    record = data_record.read(folder)
    if record is None:
        return outcome
    sender = _Sender(folder, record, workspace, say, seconds, canceled)
    problems = []
    for name, each in record.deliveries.items():
        if each.only_completed and outcome.status != RunStatus.COMPLETED:
            if not each.done:
                say(f"Output {name!r} is not uploaded, because the run is {outcome.status}. Its files are in {each.folder}")
            continue
        try:
            sender.send(name, each)
        except Exception as error:  # whatever it is, the end of the run is still to be written
            reason = error.message if isinstance(error, AzureMLException) else f"{type(error).__name__}: {error}"
            kept = f" Its files are in {each.folder}." if each.folder else ""
            problems.append(f"Output {name!r} was not delivered: {reason}{kept}")
            say(problems[-1])
    if outcome.status != RunStatus.COMPLETED:
        return outcome
    problems = problems or sender.register_all()
    if problems:
        return Outcome(RunStatus.FAILED, {"code": "OutputError", "message": " ".join(problems)}, outcome.ended_ms)
    return outcome


def registered(folder: Path) -> list[dict[str, Any]]:
    """What the outputs of a job folder are registered as: each with ``output``, ``id``, ``name`` and ``version``."""
    record = data_record.read(folder)
    deliveries = record.deliveries.items() if record is not None else ()
    return [{"output": name, **each.registered} for name, each in deliveries if each.registered]


def state_of(folder: str, left_out: Callable[[str], None] = lambda path: None) -> dict[str, list[int]]:
    """Path -> size and time (ns) of each file below a folder. Links are followed, each folder once.

    Args:
        folder: the folder.
        left_out: told the paths of what is neither file nor folder, or a link to nothing.

    Raises:
        OSError: a folder cannot be read.
        UserErrorException: it is no folder.
    """
    if not os.path.isdir(folder):
        raise UserErrorException(f"{folder} is no folder any more: the script has replaced or removed it. Let it write files into it.")
    found: dict[str, list[int]] = {}
    seen = set()

    def unreadable(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        here = os.stat(parent)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        for name in names:
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, folder)
            if not os.path.isfile(path):
                left_out(relative)
                continue
            known = os.stat(path)
            found[relative] = [known.st_size, known.st_mtime_ns]
    return found


class _Sender:
    """The outputs of one job folder on their way; what is there is written down, so that nothing is sent twice."""

    def __init__(
        self, folder: Path, record: DataRecord, workspace: RunWorkspace, say: Say, seconds: float, canceled: Callable[[], bool]
    ) -> None:
        self._folder, self._record, self._workspace = folder, record, workspace
        self._say, self._seconds, self._canceled = say, seconds, canceled
        self._moved = self._said = time.monotonic()
        self._lock = threading.Lock()

    def send(self, name: str, each: Delivery) -> None:
        """One output, however often its server is away; returns when all of it is there.

        Raises:
            AzureMLException: it cannot be sent.
        """
        if each.done or each.folder is None:
            each.done = True
            return
        while True:
            try:
                return self._send(name, each, each.folder)
            except Changed:
                raise
            except ServiceException as error:
                self._record.write(self._folder)
                if self._canceled() or time.monotonic() - self._moved > self._seconds:
                    raise
                self._say(f"Output {name!r} is delayed: {error.message}")
            self._pause()

    def register_all(self) -> list[str]:
        """Register what is to be registered; what went wrong, in words."""
        problems = []
        for name, each in self._record.deliveries.items():
            if each.register and each.registered is None:
                try:
                    each.registered = _registered(each, each.register, self._workspace)
                except AzureMLException as error:
                    problems.append(f"Output {name!r} was not registered: {error.message}")
                    continue
                self._record.write(self._folder)
                self._say(f"Output {name!r}: registered as dataset {each.registered['name']!r}, version {each.registered['version']}")
        return problems

    def _send(self, name: str, each: Delivery, folder: str) -> None:
        store = Datastore.get(self._workspace, each.datastore)._store()
        wanted = list(self._to_send(name, each, folder))
        if not each.checked:
            if not each.overwrite:
                _refuse_what_is_there(store, [path for _, _, path, _ in wanted], each)
            each.checked = True
            self._record.write(self._folder)
        left = [file for file in wanted if each.sent.get(file[1]) != file[3]]
        began, size = time.monotonic(), sum(state[0] for *_, state in left)

        def put(file: tuple[str, str, str, list[int]]) -> None:
            source, relative, path, state = file
            store.put(source, path, self._tick)
            with self._lock:
                each.sent[relative] = state
                self._note(f"Output {name!r}: {len(each.sent)} of {len(wanted)} files")

        in_parallel(put, left, store.parallel)
        each.done = True
        self._record.write(self._folder)
        with contextlib.suppress(OSError):  # it is there twice then, and goes with the job folder
            view.remove(folder)
        self._say(
            f"Output {name!r}: {len(left)} files, {transfer.human(size)}, uploaded to {each.path or 'the root'} of datastore "
            f"{each.datastore!r} in {time.monotonic() - began:.1f} s"
        )

    def _to_send(self, name: str, each: Delivery, folder: str) -> Iterator[tuple[str, str, str, list[int]]]:
        """(file, its path in the folder and in the datastore, size and time) of what is new or changed."""

        def left_out(path: str) -> None:
            self._say(f"Output {name!r}: {path} is left out; it is no file, or a link to nothing")

        for path, state in sorted(state_of(folder, left_out).items()):
            if each.before.get(path) == state:
                continue
            if each.source_globs and not any(globs.matches(pattern, path) for pattern in each.source_globs):
                continue
            yield os.path.join(folder, path), path, f"{each.path}/{path}" if each.path else path, state

    def _tick(self, size: int) -> None:
        self._moved = time.monotonic()

    def _note(self, line: str) -> None:
        if time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            self._say(line)
            self._record.write(self._folder)

    def _pause(self) -> None:
        end = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < end and not self._canceled():
            time.sleep(0.2)


def _registered(each: Delivery, wanted: dict[str, Any], workspace: RunWorkspace) -> dict[str, Any]:
    kind = TABULAR if each.reading is not None else FILE
    source = Source("datastore", each.datastore, each.path)
    content = Definition(kind, (source,), each.reading or {}, each.partition_format).to_dict()
    made = dataset_registry.register(
        workspace._prefect(), workspace.name, wanted["name"], content, wanted.get("description"), wanted.get("tags") or {}, True
    )
    return {"id": made.id, "name": made.name, "version": made.version}


def _refuse_what_is_there(store: Store, paths: list[str], each: Delivery) -> None:
    there = transfer.there(store, paths, each.path)
    if there:
        named = ", ".join(sorted(there)[:MOST_NAMED])
        raise UserErrorException(
            f"datastore {each.datastore!r} has {len(there)} of its {len(paths)} files already ({named}). Give overwrite=True, or another "
            "destination, such as one with {run-id} in it."
        )
