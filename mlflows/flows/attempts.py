"""Attempts of a run: the same run, begun again by a person after it has ended as Failed or Canceled. Standard library only.

The attempts before the present one lie in ``attempts/<number>/`` of the job folder, their logs in ``user_logs/attempt_<number>/``, which
is uploaded. The code stays where it is, with the outputs in it, so that a script that finds its checkpoints can go on from them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mlflows.flows import logs
from mlflows.job import layout

FOLDER = "attempts"
COMPLETED = "Completed"


class Attempt(NamedTuple):
    """``number`` counts from 0. ``new``: it begins now. ``completed``: the run has completed, and is not run again."""

    number: int
    new: bool = False
    completed: bool = False


def begin(folder: Path) -> Attempt:
    """The attempt that a flow drives: the present one of a run that goes on, a new one of a run that has ended otherwise than well."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        number = _number(folder)
        ended = _ended_as(folder)
        if ended is None:
            return Attempt(number)
        if ended == COMPLETED:
            return Attempt(number, completed=True)
        _put_away(folder, number)
        return Attempt(number + 1, new=True)


def _number(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return len(os.listdir(folder / FOLDER))
    return 0


def _ended_as(folder: Path) -> str | None:
    """Prefect's name of the state in which the run was closed; None if it is not closed."""
    try:
        text = (folder / layout.CLOSED_FILE).read_text()
    except FileNotFoundError:
        return None
    try:
        return str(json.loads(text).get("state"))
    except ValueError:  # the disk was full
        return "unknown"


def _put_away(folder: Path, number: int) -> None:
    """closed.json goes last: who dies in the middle leaves a run that has ended."""
    archive, user_logs = folder / FOLDER / str(number), folder / layout.USER_LOGS
    archive.mkdir(parents=True)
    logs_of_it = [path for path in (*_files(user_logs), *_files(folder / layout.BUILD_LOGS)) if path.is_file()]
    _move(logs_of_it, user_logs / f"attempt_{number}")
    _move(_files(folder / layout.EVENTS), archive / layout.EVENTS)
    _move(_files(folder / layout.MAILBOX), archive / layout.MAILBOX)
    kept = (layout.COLLECTOR_FILE, logs.PLACE_FILE, layout.CANCEL_FILE, layout.JOB_FILE, layout.STATUS_FILE, layout.CLOSED_FILE)
    for name in kept:
        _move([folder / name], archive)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _move(paths: list[Path], target: Path) -> None:
    for path in paths:
        target.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.rename(target / path.name)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "attempt.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
