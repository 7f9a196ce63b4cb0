"""The local home: a supervisor process in a job folder on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflows
from mlflows import settings
from mlflows.compute import spares
from mlflows.compute.processes import job_processes, start_ticks
from mlflows.compute.protocol import Ended, Launch
from mlflows.compute.secrets import is_reference
from mlflows.data import snapshot
from mlflows.exceptions import UserErrorException
from mlflows.job import layout

PACKAGE = Path(mlflows.__file__).parent
GRACE_SECONDS = 10
ALREADY_SUPERVISED = 75
"""Exit code of a supervisor that found another one on the same folder."""


class LocalHome:
    """Runs a launch as processes of this machine.

    The handle is ``local://<host>/<job folder>``.
    """

    def render(self, launch: Launch) -> dict[str, Any]:
        """The supervisor's command and the job file it reads."""
        return {"command": supervisor_command(launch.folder), "job": job_file(launch)}

    async def start(self, launch: Launch, environment: Mapping[str, str]) -> str:
        """See Home.start."""
        return await asyncio.to_thread(self._start, launch, environment)

    async def wait(self, handle: str) -> Ended:
        """See Home.wait."""
        folder = folder_of(handle)
        while True:
            found = _supervisor(folder)
            if found is None:
                break
            await _exit_of(found)
            _reap(found)
        status = read_json(folder / layout.STATUS_FILE)
        if status is not None:
            return Ended(status)
        await self._end_orphans(folder)
        wish = read_json(folder / layout.CANCEL_FILE)
        if wish is not None:  # the signal came before the supervisor could take it
            return Ended({"state": "Canceled", "reason": "cancel", "message": f"The run was canceled: {wish.get('reason')}"})
        (folder / (layout.STATUS_FILE + ".tmp")).unlink(missing_ok=True)  # the space that the supervisor had reserved
        return Ended(None, "The supervisor of the run disappeared before it could report (killed, or the machine restarted)")

    async def stop(self, handle: str, reason: str) -> None:
        """See Home.stop."""
        folder = folder_of(handle)
        _write_json(folder / layout.CANCEL_FILE, {"reason": reason})
        pid = _supervisor(folder)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        await self.wait(handle)

    def find(self, run_id: str, attempt: int) -> str | None:
        """See Home.find."""
        folder = settings.job_folder(run_id)
        job = read_json(folder / layout.JOB_FILE)
        if job is None or job["attempt"] != attempt:
            return None
        started = (folder / layout.STATUS_FILE).exists() or _was_supervised(folder, attempt)
        return handle_of(folder) if started else None

    def _start(self, launch: Launch, environment: Mapping[str, str]) -> str:
        launch.folder.mkdir(parents=True, exist_ok=True)
        launch.folder.chmod(0o700)  # secrets that a script asks for pass through its mailbox
        with _locked(launch.folder):
            handle = self.find(launch.run_id, launch.attempt)
            if handle is not None:
                return handle
            prepare(launch)
            _spawn_supervisor(launch.folder, launch.attempt, environment)
        return handle_of(launch.folder)

    async def _end_orphans(self, folder: Path) -> None:
        """A supervisor that was killed leaves its processes behind; nobody could tell how they end, so they are ended."""
        for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 5)):
            for _ in range(seconds * 20):
                orphans = job_processes(folder).get(str(folder), [])
                if not orphans:
                    return
                for pid in orphans:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                await asyncio.sleep(0.05)


def handle_of(folder: Path) -> str:
    """The handle of a job folder on this machine."""
    return f"local://{socket.gethostname()}{folder}"


def folder_of(handle: str) -> Path:
    """The job folder of a handle.

    Raises:
        ValueError: the handle is another machine's.
    """
    host, _, path = handle.removeprefix("local://").partition("/")
    if not handle.startswith("local://") or host != socket.gethostname():
        raise ValueError(f"{handle!r} is not a job of this machine ({socket.gethostname()})")
    return Path("/" + path)


def supervisor_command(folder: Path) -> list[str]:
    """What a supervisor is started with."""
    return [*spares.SUPERVISOR, str(folder)]


def job_file(launch: Launch) -> dict[str, Any]:
    """What the supervisor reads."""
    spec, distribution = launch.spec, launch.spec.distribution
    argv = None if spec.command else [launch.interpreter, spec.script, *spec.arguments]
    return {
        "format": 1,
        "run_id": launch.run_id,
        "attempt": launch.attempt,
        "argv": argv,
        "shell": spec.command,
        "env": _script_variables(launch),
        "cwd": str(launch.folder / layout.CODE),
        "kind": distribution.kind,
        "node_level": distribution.node_level,
        "backend": distribution.backend,
        "node_count": distribution.node_count,
        "nodes": list(range(distribution.node_count)),
        "processes_per_node": distribution.processes_per_node,
        "workers": distribution.worker_count,
        "parameter_servers": distribution.parameter_server_count,
        "hosts": ["127.0.0.1"] * distribution.node_count,
        "master_port": None,
        "interpreter": launch.interpreter,
        "max_seconds": spec.max_run_duration_seconds,
        "deadline": None,
        "grace_seconds": GRACE_SECONDS,
    }


def _script_variables(launch: Launch) -> dict[str, str]:
    """Of a secret only the reference is written down; its value comes by the supervisor's own environment."""
    visible = {name: value for name, value in launch.variables.items() if not is_reference(value)}
    library = str(launch.folder / layout.LIB)
    inherited = visible.get("PYTHONPATH") or os.environ.get("PYTHONPATH", "")
    return {
        **visible,
        "PYTHONPATH": os.pathsep.join(part for part in (library, inherited) if part),
        "PATH": os.pathsep.join((str(Path(launch.interpreter).parent), visible.get("PATH") or os.environ.get("PATH", os.defpath))),
        "PYTHONUNBUFFERED": "1",
        settings.HOME_VARIABLE: str(settings.home()),
        layout.FOLDER_VARIABLE: str(launch.folder),
    }


def prepare(launch: Launch) -> None:
    """Make the job folder: code, folders, import path, job file."""
    folder = launch.folder
    for name in (layout.USER_LOGS, layout.SYSTEM_LOGS, layout.EVENTS, layout.UPLOADS, layout.MAILBOX, layout.LIB):
        (folder / name).mkdir(exist_ok=True)
    code = folder / layout.CODE
    if not launch.spec.snapshot_project:
        _link(code, Path(launch.spec.source_directory))
    elif not code.exists():
        assert launch.spec.snapshot is not None, "resolve_datasets takes the snapshot"
        snapshot.materialize(launch.spec.snapshot, launch.snapshot_store, code)
    for name in (layout.OUTPUTS, layout.LOGS):
        (code / name).mkdir(exist_ok=True)
    for path, target in launch.links.items():
        _show(code / path, target)
    _link(folder / layout.LIB / "mlflows", PACKAGE)
    _link(folder / layout.LIB / "azureml", PACKAGE / "azureml_path" / "azureml")
    _write_json(folder / layout.JOB_FILE, job_file(launch))


def _show(path: Path, target: str) -> None:
    """Let a folder be seen at another path, too; what an ended run has left there gives way."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() and (not path.exists() or os.readlink(path) == target):
            path.unlink()
        elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
        path.symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise UserErrorException(
            f"path_on_compute: {path} cannot be made ({error.strerror}). Remove what is there, or give another path."
        ) from error


def _spawn_supervisor(folder: Path, attempt: int, environment: Mapping[str, str]) -> None:
    process = spares.take(folder, environment) or _fresh_supervisor(folder, environment)
    _CHILDREN[process.pid] = process
    record = {"pid": process.pid, "start_ticks": start_ticks(process.pid), "attempt": attempt}
    _write_json(folder / layout.SYSTEM_LOGS / "spawned.json", record)


def _fresh_supervisor(folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / layout.SYSTEM_LOGS / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            supervisor_command(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def _supervisor(folder: Path) -> int | None:
    """Pid of the live supervisor of a folder: the one that holds it, else the one just spawned."""
    for record in _records(folder):
        if start_ticks(record["pid"]) == record["start_ticks"]:
            return int(record["pid"])
    return None


def _was_supervised(folder: Path, attempt: int) -> bool:
    """Whether an attempt has been started, though all of it may be gone (the machine was restarted): it is not started twice."""
    return any(record.get("attempt") == attempt for record in _records(folder))


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    for name in ("supervisor.json", "spawned.json"):
        record = read_json(folder / layout.SYSTEM_LOGS / name)
        if record:
            yield record


async def _exit_of(pid: int) -> None:
    """Return when a process, ours or not, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _reap(pid: int) -> None:
    child = _CHILDREN.pop(pid, None)
    if child is not None:
        child.wait()


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON file, or None if it is not there (yet)."""
    try:
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        json.dump(value, handle, indent=1)
    temporary.replace(path)


def _link(link: Path, target: Path) -> None:
    with contextlib.suppress(FileExistsError):
        link.symlink_to(target, target_is_directory=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "start.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
