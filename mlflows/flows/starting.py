"""Starting and stopping the local services."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflows import settings
from mlflows.compute.processes import start_ticks
from mlflows.exceptions import ExperimentExecutionException
from mlflows.flows.record import CHILDREN, TITLES, Announce, alive, locked, log_path, own_folder, record_path, write
from mlflows.rest import RestClient, RestError, Unreachable

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
PORT_TRIES = 20
START_SECONDS = 180.0
"""A cold start takes about 20 s on two cores; past this something is wrong."""


def start(prefect: str | None, mlflow: str | None, announce: Announce) -> dict[str, Any]:
    """Start what is missing; somebody else may be doing so right now, then this waits and finds it running."""
    with locked(announce):
        former = settings.services_record()
        record = {name: entry for name, entry in former.items() if alive(entry)}
        began = time.monotonic()
        announce("Starting the local services (once; `mlflows down` stops them):")
        if not prefect and "prefect" not in record:
            with _port(former.get("prefect"), PREFECT_PORT) as (port, lock):
                record["prefect"] = _spawn_prefect(port, lock)
        if not mlflow and "mlflow" not in record:
            with _port(former.get("mlflow"), MLFLOW_PORT) as (port, lock):
                record["mlflow"] = _spawn_mlflow(port, lock)
        write(record)
        api = prefect or record["prefect"]["url"] + "/api"
        tracking = mlflow or record["mlflow"]["url"]
        if "runner" in record and record["runner"].get("servers") != [api, tracking]:
            _stop(record.pop("runner"))  # the jobs go on; the next runner takes them up
        if "runner" not in record:
            record["runner"] = _spawn_runner(api, tracking)
            write(record)
        _wait_for(record, announce, began)
        return record


def stop(announce: Announce) -> list[str]:
    """Stop the services this package started; runs go on, and the next ``up`` adopts them.

    Returns:
        The names of what was stopped.
    """
    stopped = []
    with locked():
        record = settings.services_record()
        for name in ("runner", "mlflow", "prefect"):
            entry = record.get(name)
            if entry and alive(entry):
                announce(f"Stopping {TITLES[name]} (pid {entry['pid']})")
                _stop(entry)
                stopped.append(name)
        record_path().unlink(missing_ok=True)
    return stopped


@contextlib.contextmanager
def _port(former: Mapping[str, Any] | None, preferred: int) -> Iterator[tuple[int, int]]:
    """A free port, of a service that has died its own, because runs that go on know it by that; and a lock on it.

    The service inherits the lock. Two homes that start at once would else both find the same port free, and one of them would take the
    other's server for its own.
    """
    port, lock = _free_port(urlsplit(former["url"]).port or preferred if former else preferred)
    try:
        yield port, lock
    finally:
        os.close(lock)


def _spawn_prefect(port: int, lock: int) -> dict[str, Any]:
    folder = settings.services_dir() / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # the states of task runs are written together: one by one, they are a fifth of the server's work
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "20",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",  # whole seconds: of less it makes 0, and a loop without a pause
        "PREFECT_UI_API_URL": url + "/api",
        "PREFECT_API_URL": url + "/api",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return _spawn("prefect", command, environment, lock, url=url, health="/api/health")


def _spawn_mlflow(port: int, lock: int) -> dict[str, Any]:
    folder = settings.services_dir() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--no-access-log --log-level warning"]  # a line for each request would fill the disk in the end
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # it costs 1.3 GB and serves nothing here
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "100",  # with the default of 15 as many requests at once lock it up for good
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    _write_ahead(folder / "mlflow.db")
    # /health answers before the server has opened its database: the first run would wait for that
    return _spawn("mlflow", command, environment, lock, url=url, health="/api/2.0/mlflow/experiments/get?experiment_id=0")


def _write_ahead(database: Path) -> None:
    """Switch a SQLite file to write-ahead logging, which it remembers: a commit then waits for the disk once, and readers for no writer."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _spawn_runner(prefect_api_url: str, mlflow_tracking_uri: str) -> dict[str, Any]:
    environment = {
        **_about_data(),
        "PREFECT_API_URL": prefect_api_url,
        "MLFLOW_TRACKING_URI": mlflow_tracking_uri,
        "PREFECT_HOME": str(settings.services_dir() / "prefect"),
        settings.HOME_VARIABLE: str(settings.home()),
    }
    command = [sys.executable, "-m", "mlflows.flows.guard"]
    return _spawn("runner", command, environment, url=f"unix:{settings.runner_socket()}", servers=[prefect_api_url, mlflow_tracking_uri])


def _spawn(name: str, command: list[str], environment: Mapping[str, str], *inherited: int, **more: Any) -> dict[str, Any]:
    log = log_path(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_clean_environment(), **environment},
            cwd=settings.services_dir(),
            start_new_session=True,
            pass_fds=inherited,
        )
    CHILDREN[process.pid] = process
    return {"pid": process.pid, "ticks": start_ticks(process.pid), **more}


def _clean_environment() -> dict[str, str]:
    """A service must not inherit the identity of a run or the choices of one submitter."""
    dropped = ("MLFLOW_", "AZUREML_", "MLFLOWS_", "PREFECT__", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _about_data() -> dict[str, str]:
    """What the environment says of transfers and of the cache, which is the runner's work; it has another working directory."""
    from mlflows.data.cache import FOLDER_VARIABLE, SIZE_VARIABLE
    from mlflows.data.store import PATIENCE_VARIABLE

    said = {name: os.environ[name] for name in (FOLDER_VARIABLE, SIZE_VARIABLE, PATIENCE_VARIABLE) if os.environ.get(name)}
    return {name: os.path.abspath(value) if name == FOLDER_VARIABLE else value for name, value in said.items()}


def _wait_for(record: dict[str, Any], announce: Announce, began: float) -> None:
    waiting = dict(record)
    while waiting:
        for name, entry in list(waiting.items()):
            if not alive(entry):
                raise ExperimentExecutionException(_died(name))
            if _ready(name, entry):
                del waiting[name]
                address = "" if name == "runner" else f" at {entry['url']}"
                announce(f"  {TITLES[name]} ready{address} after {time.monotonic() - began:.1f} s")
        if time.monotonic() - began > START_SECONDS:
            names = ", ".join(f"{TITLES[name]} (log: {log_path(name)})" for name in waiting)
            raise ExperimentExecutionException(f"Not ready after {START_SECONDS:.0f} s: {names}. `mlflows down`, then `mlflows up` again.")
        time.sleep(0.1)


def _ready(name: str, entry: Mapping[str, Any]) -> bool:
    if name == "runner":
        return runner_answers()
    try:
        RestClient(entry["url"], timeout=2).raw("GET", entry["health"])
    except (RestError, Unreachable):
        return False
    return True


def runner_answers() -> bool:
    """Whether a runner listens on the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(settings.runner_socket()))
        except OSError:
            return False
    return True


def _died(name: str) -> str:
    tail = "\n".join(log_path(name).read_text(errors="replace").splitlines()[-15:])
    return f"The {TITLES[name]} stopped while starting. The end of its log {log_path(name)}:\n{tail}"


def _stop(entry: Mapping[str, Any], seconds: float = 15.0) -> None:
    """SIGTERM to the service's process group, SIGKILL to what is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(entry["pid"], number)
        deadline = time.monotonic() + seconds
        while alive(entry) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not alive(entry):
            return


def _free_port(preferred: int) -> tuple[int, int]:
    """A port that nobody listens on, and the lock on it, which nobody else of this user holds."""
    folder = own_folder()
    for port in (preferred, *[0] * PORT_TRIES):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number = int(probe.getsockname()[1])
            lock = os.open(folder / f"port-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return number, lock
    raise ExperimentExecutionException("No free port on 127.0.0.1")
