"""Environments of this machine: each is built once, and found again by its digest in a millisecond.

::

    environments/<digest>/         a virtual environment in venv/, or a conda environment in prefix/
        definition.json            what was asked for; secrets are references
        build.log                  what was done
        ready.json                 written last: the environment is whole
        failed.json                why the last build failed; nothing of it is left
    environments/<digest>.lock     held by who builds it, and by all that runs for it
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflows import settings
from mlflows.environments import conda_prefix, credentials, job_path, requirements, venv
from mlflows.environments.digest import digest
from mlflows.environments.work import (
    ASK_SECONDS,
    BuildStopped,
    EnvironmentBuildError,
    Resolve,
    Stopped,
    Work,
    Write,
    end_left_behind,
    never,
    silent,
    write_holder,
)

__all__ = ["BuildStopped", "Built", "EnvironmentBuildError", "ensure", "interpreter_of", "known", "locked"]

READY = "ready.json"
FAILED = "failed.json"
LOG = "build.log"
DEFINITION = "definition.json"


@dataclass(frozen=True)
class Built:
    """An environment that is there."""

    interpreter: Path
    digest: str
    log: Path


def store() -> Path:
    """The folder of all environments of this machine."""
    return settings.home() / "environments"


def folder_of(name: str) -> Path:
    """The folder of the environment with this digest."""
    return store() / name


def interpreter_of(definition: Mapping[str, Any]) -> Path:
    """Where the python of a definition's environment is, or will be."""
    folder = folder_of(digest(definition, "venv"))
    return conda_prefix.interpreter_in(folder) if requirements.needs_conda(definition) else venv.interpreter_in(folder)


def known(name: str) -> Built | None:
    """The environment with this digest; None if it has not been built, or if its python is gone."""
    folder = folder_of(name)
    record = _read(folder / READY)
    if record is None:
        return None
    interpreter = folder / record["interpreter"]
    return Built(interpreter, name, folder / LOG) if interpreter.exists() else None


def ensure(
    definition: Mapping[str, Any],
    *,
    write: Write = silent,
    stopped: Stopped = never,
    resolve: Resolve | None = None,
    since: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Built:
    """The environment of a definition, built if it is not known; of all who want it at once one builds it and the others wait.

    Args:
        definition: see Environment._serialize_to_dict; secrets in it are written nowhere.
        write: called with the build's output, line by line; who waits gets that of the build it waits for.
        stopped: asked ten times a second; True ends the build. Others who wait for it take it over.
        resolve: gives the value of a Secret block that the definition refers to.
        environment: the variables in which it is built, with the settings of uv and pip among them; this process's if none.
        since: when this environment began to be wanted, in epoch seconds: a build that has failed since then is not tried again.

    Raises:
        UserErrorException: the definition cannot be right, see requirements.check.
        EnvironmentBuildError: the build failed; the message has what failed, why, and the log.
        BuildStopped: ``stopped`` said so.
    """
    requirements.check_form(definition)
    name = digest(definition, "venv")
    found = known(name)
    if found is not None:
        return found
    requirements.check(definition)
    definition, taken = credentials.taken_out(definition)
    since = time.time() if since is None else since
    with locked(name, write, stopped) as lock:
        found = outcome(name, since)
        if found is not None:
            write(f"The environment {name} is ready.\n")
            return found
        with working(name, definition, write, stopped, lock, environment) as work:
            return _build(work, definition, name, _resolver(taken, resolve))


def outcome(name: str, since: float) -> Built | None:
    """How the build that was waited for since then has ended; None if it was stopped, or killed.

    Raises:
        EnvironmentBuildError: it has failed, and would again.
    """
    raise_failure(name, since)
    return known(name)


@contextlib.contextmanager
def locked(name: str, write: Write = silent, stopped: Stopped = never) -> Iterator[int]:
    """Hold the lock of what is built under a name; the descriptor of it is for the commands of the build.

    Raises:
        BuildStopped: while it was waited for.
    """
    store().mkdir(parents=True, exist_ok=True)
    descriptor = os.open(store() / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(descriptor, name, write, stopped)
        write_holder(descriptor)
        try:
            yield descriptor
        finally:
            # also for those who have inherited it
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, name: str, write: Write, stopped: Stopped) -> None:
    tail: Tail | None = None
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if tail is None:
            write(f"Waiting: somebody else is building the environment {name}.\n")
            tail = Tail(folder_of(name) / LOG)
        if stopped():
            raise BuildStopped
        if not end_left_behind(descriptor):
            write_new(tail, write)
        time.sleep(ASK_SECONDS)


class Tail:
    """What is new in a log that somebody else writes, and may begin anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = (0, 0)

    def read(self) -> str:
        """Whole lines."""
        try:
            with self._path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                offset = self._place[1] if inode == self._place[0] else 0
                file.seek(offset)
                data = file.read()
        except OSError:
            return ""
        whole = data[: data.rfind(b"\n") + 1]
        self._place = (inode, offset + len(whole))
        return whole.decode("utf-8", "replace")


def write_new(tail: Tail, write: Write) -> None:
    """Pass on what is new."""
    text = tail.read()
    if text:
        write(text)


@contextlib.contextmanager
def working(
    name: str, definition: Mapping[str, Any], write: Write, stopped: Stopped, lock: int, environment: Mapping[str, str] | None = None
) -> Iterator[Work]:
    """A build in its folder, which is empty at first. One that fails leaves its reason and its log.

    Raises:
        EnvironmentBuildError: as inside, with the place of the log in its message.
    """
    folder = folder_of(name)
    _begin(folder, definition)
    with Work(folder, folder / LOG, write, stopped, lock, environment) as work:
        work.say(f"Building the environment {name}")
        for package in requirements.left_out(definition):
            work.say(f"{package} is not installed: every job has its names from mlflows itself.")
        for package in requirements.in_place_of_ours(definition):
            work.say(f"{package} is installed for tables of datasets, in place of what azureml packages bring.")
        try:
            yield work
        except BuildStopped:
            work.say("The build was stopped.")
            _remove_results(folder)
            raise
        except (EnvironmentBuildError, OSError) as caught:
            _remove_results(folder)
            error = caught if isinstance(caught, EnvironmentBuildError) else _of_disk(folder, caught)
            error.message = work.masked(f"{error.message} The log of the build: {work.log}")
            work.say(f"The build failed: {error.message}")
            with contextlib.suppress(OSError):
                _write(folder / FAILED, {"message": error.message, "at": time.time()})
            raise error from caught.__cause__


def raise_failure(name: str, since: float) -> None:
    """Raises EnvironmentBuildError: a build of this failed since then, and would again."""
    failed = _read(folder_of(name) / FAILED)
    if failed is not None and failed["at"] >= since:
        raise EnvironmentBuildError(failed["message"])


def _resolver(taken: Mapping[str, str], resolve: Resolve | None) -> Resolve | None:
    """Of a definition that came with secrets in it these are known."""
    if not taken:
        return resolve

    def resolved(name: str) -> str:
        if name in taken or resolve is None:
            return taken[name]
        return resolve(name)

    return resolved


def _build(work: Work, definition: Mapping[str, Any], name: str, resolve: Resolve | None) -> Built:
    began = time.time()
    maker = conda_prefix if requirements.needs_conda(definition) else venv
    interpreter = maker.build(work, definition, resolve)
    job_path.install(_site_packages(work, interpreter))
    seconds = time.time() - began
    _write(work.folder / READY, {"interpreter": str(interpreter.relative_to(work.folder)), "built": began, "seconds": seconds})
    work.say(f"Built in {seconds:.1f} s: {interpreter}")
    return Built(interpreter, name, work.log)


def _begin(folder: Path, definition: Mapping[str, Any]) -> None:
    """An empty folder: whoever was killed while building has left half an environment."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        _write(folder / DEFINITION, definition)
    except OSError as error:
        raise _of_disk(folder, error) from error


def _of_disk(folder: Path, error: OSError) -> EnvironmentBuildError:
    return EnvironmentBuildError(f"{folder} cannot be written: {error}. Is there space, and may you write there?", error)


def _site_packages(work: Work, interpreter: Path) -> Path:
    code, output = work.run([str(interpreter), "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], quiet=True)
    if code != 0:
        raise EnvironmentBuildError(f"{interpreter} does not run: {output[-300:]} Use another python.")
    return Path(output.splitlines()[-1])


def _remove_results(folder: Path) -> None:
    for name in (venv.FOLDER, conda_prefix.FOLDER):
        shutil.rmtree(folder / name, ignore_errors=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _write(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1))
    temporary.replace(path)
