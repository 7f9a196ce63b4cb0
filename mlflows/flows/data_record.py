"""What became of a run's inputs and outputs: data.json in its job folder, for whoever drives the run next. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlflows.job import layout


@dataclass
class Delivery:
    """What a script writes, and where it goes when the job has ended.

    ``folder`` is None where the script writes into the datastore itself. ``before`` are the files that were there at the start
    (path -> size, nanoseconds): those that did not change are not sent. ``sent`` are those that are in the datastore by now.
    ``checked``: the target was looked at, and from then on what is there is ours. ``done``: all of it is there; ``registered`` says as
    what (id, name, version).
    """

    datastore: str
    path: str
    folder: str | None = None
    overwrite: bool = False
    only_completed: bool = False
    source_globs: list[str] | None = None
    before: dict[str, list[int]] = field(default_factory=dict)
    sent: dict[str, list[int]] = field(default_factory=dict)
    register: dict[str, Any] | None = None
    reading: dict[str, Any] | None = None
    partition_format: str | None = None
    checked: bool = False
    done: bool = False
    registered: dict[str, Any] | None = None


@dataclass
class DataRecord:
    """Of one attempt.

    ``variables`` are the script's; ``links`` lead from where it wants its data (``path_on_compute``, relative to its working directory)
    to where they are; ``datasets`` is what MLflow is told.
    """

    attempt: int
    variables: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    datasets: list[dict[str, str]] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Keep it in a job folder."""
        temporary = folder / f"{layout.DATA_FILE}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(asdict(self)))
        temporary.replace(folder / layout.DATA_FILE)


def read(folder: Path, attempt: int | None = None) -> DataRecord | None:
    """The record in a job folder; None if there is none, or, where one is asked for, it is another attempt's."""
    try:
        kept = json.loads((folder / layout.DATA_FILE).read_text())
    except FileNotFoundError:
        return None
    deliveries = {name: Delivery(**each) for name, each in kept.pop("deliveries").items()}
    record = DataRecord(**kept, deliveries=deliveries)
    return record if attempt in (None, record.attempt) else None


def unlink(record: DataRecord, folder: Path) -> None:
    """Remove the links that lead from elsewhere on this machine into a job folder."""
    for path, target in record.links.items():
        link = os.path.join(folder / layout.CODE, path)
        if os.path.islink(link) and os.readlink(link) == target:
            with contextlib.suppress(OSError):
                os.unlink(link)
