"""What a script has written goes to its datastore when its job has ended, and is registered where the run says so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlflows.data import dataset_registry, globs, transfer
from mlflows.data.datastore import Datastore
from mlflows.data.definition import FILE, TABULAR, Definition, Source
from mlflows.data.store import Changed, Store
from mlflows.exceptions import AzureMLException, ServiceException, UserErrorException
from mlflows.flows import data_record, inputs
from mlflows.flows.context import RunWorkspace
from mlflows.flows.data_record import DataRecord, Delivery
from mlflows.history.closing import Outcome
from mlflows.history.status import RunStatus

RETRY_SECONDS = 5.0
MOST_NAMED = 5

Say = Callable[[str], None]
Pair = tuple[str, str]


def deliver(folder: Path, workspace: RunWorkspace, outcome: Outcome, say: Say, seconds: float) -> Outcome:
    """Send what the script of a job folder has written. Whoever comes after a crash sends the rest.

    Args:
        folder: the job folder.
        workspace: the run's.
        outcome: how the job ended.
        say: takes lines about what is done.
        seconds: for how long a server that does not answer is asked again.

    Returns:
        The outcome; Failed where a run that went well could not deliver: its files stay in the job folder.
    """
    record = data_record.read(folder)
    if record is None:
        return outcome
    end, problems = time.monotonic() + seconds, []
    for name, each in record.deliveries.items():
        if each.done:
            continue
        if each.only_completed and outcome.status != RunStatus.COMPLETED:
            say(f"Output {name!r} is not uploaded, because the run is {outcome.status}. Its files are in {each.folder}")
            continue
        try:
            _until_it_answers(lambda: _deliver(folder, record, name, workspace, outcome, say), end, say)  # noqa: B023 - called at once
        except AzureMLException as error:
            problems.append(
                f"Output {name!r} was not delivered: {error.message}" + (f" Its files are in {each.folder}." if each.folder else "")
            )
            say(problems[-1])
    if problems and outcome.status == RunStatus.COMPLETED:
        return Outcome(RunStatus.FAILED, {"code": "OutputError", "message": " ".join(problems)}, outcome.ended_ms)
    return outcome


def registered(folder: Path) -> list[dict[str, Any]]:
    """What the outputs of a job folder are registered as: each with ``output``, ``id``, ``name`` and ``version``."""
    record = data_record.read(folder)
    deliveries = record.deliveries.items() if record is not None else ()
    return [{"output": name, **each.registered} for name, each in deliveries if each.registered]


def _deliver(folder: Path, record: DataRecord, name: str, workspace: RunWorkspace, outcome: Outcome, say: Say) -> None:
    each = record.deliveries[name]
    if each.folder is not None:
        store = Datastore.get(workspace, each.datastore)._store()
        pairs = list(_to_send(each, each.folder))
        if not each.checked:
            if not each.overwrite:
                _refuse_what_is_there(store, pairs, each.datastore)
            each.checked = True
            record.write(folder)
        began = time.monotonic()
        transfer.upload(store, pairs, each.path, True, show_progress=False)
        size = sum(os.path.getsize(source) for source, _ in pairs)
        say(
            f"Output {name!r}: {len(pairs)} files, {transfer.human(size)}, uploaded to {each.path or 'the root'} of datastore "
            f"{each.datastore!r} in {time.monotonic() - began:.1f} s"
        )
    if each.register and outcome.status == RunStatus.COMPLETED:
        each.registered = _registered(each, each.register, workspace)
        say(f"Output {name!r}: registered as dataset {each.registered['name']!r}, version {each.registered['version']}")
    each.done = True
    record.write(folder)


def _registered(each: Delivery, wanted: dict[str, Any], workspace: RunWorkspace) -> dict[str, Any]:
    kind = TABULAR if each.reading is not None else FILE
    source = Source("datastore", each.datastore, each.path)
    content = Definition(kind, (source,), each.reading or {}, each.partition_format).to_dict()
    made = dataset_registry.register(
        workspace._prefect(), workspace.name, wanted["name"], content, wanted.get("description"), wanted.get("tags") or {}, True
    )
    return {"id": made.id, "name": made.name, "version": made.version}


def _to_send(each: Delivery, folder: str) -> Iterator[Pair]:
    """(file, path in the datastore) of what is new or changed."""
    for path, seen in sorted(inputs.state_of(folder).items()):
        if each.before.get(path) == seen:
            continue
        if each.source_globs and not any(globs.matches(pattern, path) for pattern in each.source_globs):
            continue
        yield os.path.join(folder, path), f"{each.path}/{path}" if each.path else path


def _refuse_what_is_there(store: Store, pairs: list[Pair], datastore: str) -> None:
    paths = [path for _, path in pairs]
    there = transfer.there(store, paths, os.path.dirname(os.path.commonpath(paths))) if paths else set()
    if there:
        named = ", ".join(sorted(there)[:MOST_NAMED])
        raise UserErrorException(
            f"datastore {datastore!r} has {len(there)} of its {len(pairs)} files already ({named}). Give overwrite=True, or another "
            "destination, such as one with {run-id} in it."
        )


def _until_it_answers(work: Callable[[], None], end: float, say: Say) -> None:
    while True:
        try:
            return work()
        except Changed:
            raise
        except ServiceException as error:
            if time.monotonic() > end:
                raise
            say(f"Delivery is delayed: {error.message}")
            time.sleep(RETRY_SECONDS)
