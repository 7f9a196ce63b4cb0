"""The local services: a Prefect server, an MLflow server and a resident runner on loopback, started by the first submit and kept.

Standard library only: a submit that finds them up must not import Prefect to learn so.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflows import settings
from mlflows.compute.processes import start_ticks
from mlflows.exceptions import ExperimentExecutionException
from mlflows.rest import RestClient, RestError, Unreachable
from mlflows.settings import Servers

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
START_SECONDS = 180.0
"""A cold start takes about 20 s on two cores; past this something is wrong."""

Announce = Callable[[str], None]


def ensure_up(config: Mapping[str, Any] = {}, announce: Announce | None = None) -> Servers:
    """The servers to use, started if nobody configured any and they are not up.

    Args:
        config: the workspace's config.json; its ``prefect_api_url`` and ``mlflow_tracking_uri`` count.
        announce: is told what a slow start waits for.

    Raises:
        ExperimentExecutionException: a service did not start; the message has the end of its log and its path.
    """
    prefect, mlflow = settings.configured_prefect(config), settings.configured_mlflow(config)
    record: dict[str, Any] = {}
    if not (prefect and mlflow):
        record = _running_record(need_prefect=not prefect, need_mlflow=not mlflow) or _start(prefect, mlflow, announce or _to_stderr)
    return _servers(prefect, mlflow, config, record)


def up(config: Mapping[str, Any] = {}, announce: Announce | None = None) -> Servers:
    """As ensure_up, and a resident runner also for configured servers."""
    prefect, mlflow = settings.configured_prefect(config), settings.configured_mlflow(config)
    record = _running_record(need_prefect=not prefect, need_mlflow=not mlflow, need_runner=True)
    record = record or _start(prefect, mlflow, announce or _to_stderr)
    return _servers(prefect, mlflow, config, record)


def down(announce: Announce | None = None) -> list[str]:
    """Stop the services this package started; runs go on, and the next ``up`` adopts them.

    Returns:
        The names of what was stopped.
    """
    stopped = []
    with _lock():
        record = settings.services_record()
        for name in ("runner", "mlflow", "prefect"):
            entry = record.get(name)
            if entry and _alive(entry):
                (announce or _to_stderr)(f"Stopping {_TITLES[name]} (pid {entry['pid']})")
                _stop(entry)
                stopped.append(name)
        _record_path().unlink(missing_ok=True)
    return stopped


def status() -> dict[str, dict[str, Any]]:
    """Per service: ``running``, ``pid``, ``url``, ``log``."""
    record = settings.services_record()
    return {
        name: {
            "running": bool(record.get(name)) and _alive(record[name]),
            "pid": record.get(name, {}).get("pid"),
            "url": record.get(name, {}).get("url"),
            "log": str(_log_path(name)),
        }
        for name in _TITLES
    }


_TITLES = {"prefect": "Prefect server", "mlflow": "MLflow server", "runner": "runner"}


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _servers(prefect: str | None, mlflow: str | None, config: Mapping[str, Any], record: Mapping[str, Any]) -> Servers:
    prefect_api = prefect or record["prefect"]["url"] + "/api"
    tracking = mlflow or record["mlflow"]["url"]
    return Servers(
        prefect_api_url=prefect_api.rstrip("/"),
        mlflow_tracking_uri=tracking.rstrip("/"),
        prefect_ui_url=os.environ.get("PREFECT_UI_URL") or config.get("prefect_ui_url") or _prefect_ui(prefect_api),
        mlflow_ui_url=os.environ.get("MLFLOWS_MLFLOW_UI_URL") or config.get("mlflow_ui_url") or tracking.rstrip("/"),
        local=not (prefect or mlflow),
    )


def _prefect_ui(api_url: str) -> str:
    cloud = "https://api.prefect.cloud/api/accounts/"
    if api_url.startswith(cloud):
        return "https://app.prefect.cloud/account/" + api_url[len(cloud) :].replace("/workspaces/", "/workspace/")
    return api_url.rstrip("/").removesuffix("/api")


def _running_record(need_prefect: bool, need_mlflow: bool, need_runner: bool = False) -> dict[str, Any] | None:
    record = settings.services_record()
    needed = [name for name, need in (("prefect", need_prefect), ("mlflow", need_mlflow), ("runner", need_runner or need_prefect)) if need]
    return record if all(name in record and _alive(record[name]) for name in needed) else None


def _start(prefect: str | None, mlflow: str | None, announce: Announce) -> dict[str, Any]:
    """Start what is missing; somebody else may be doing so right now, then this waits and finds it running."""
    with _lock(announce):
        former = settings.services_record()
        record = {name: entry for name, entry in former.items() if _alive(entry)}
        began = time.monotonic()
        announce("Starting the local services (once; `mlflows down` stops them):")
        if not prefect and "prefect" not in record:
            record["prefect"] = _spawn_prefect(_port(former.get("prefect"), PREFECT_PORT))
        if not mlflow and "mlflow" not in record:
            record["mlflow"] = _spawn_mlflow(_port(former.get("mlflow"), MLFLOW_PORT))
        _write_record(record)
        api = prefect or record["prefect"]["url"] + "/api"
        tracking = mlflow or record["mlflow"]["url"]
        if "runner" in record and record["runner"].get("servers") != [api, tracking]:
            _stop(record.pop("runner"))  # the jobs go on; the next runner takes them up
        if "runner" not in record:
            record["runner"] = _spawn_runner(api, tracking)
            _write_record(record)
        _wait_for(record, announce, began)
        return record


def _port(former: Mapping[str, Any] | None, preferred: int) -> int:
    """A free port; of a service that has died its own, because runs that go on know it by that."""
    return _free_port(urlsplit(former["url"]).port or preferred if former else preferred)


def _spawn_prefect(port: int) -> dict[str, Any]:
    folder = settings.services_dir() / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_API_URL": url + "/api",
        "PREFECT_API_URL": url + "/api",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return _spawn("prefect", command, environment, url=url, health=url + "/api/health")


def _spawn_mlflow(port: int) -> dict[str, Any]:
    folder = settings.services_dir() / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    environment = {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # it costs 1.3 GB and serves nothing here
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "100",  # with the default of 15 as many requests at once lock it up for good
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    _write_ahead(folder / "mlflow.db")
    return _spawn("mlflow", command, environment, url=url, health=url + "/health")


def _write_ahead(database: Path) -> None:
    """Switch a SQLite file to write-ahead logging, which it remembers: a commit then waits for the disk once, and readers for no writer."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _spawn_runner(prefect_api_url: str, mlflow_tracking_uri: str) -> dict[str, Any]:
    environment = {
        "PREFECT_API_URL": prefect_api_url,
        "MLFLOW_TRACKING_URI": mlflow_tracking_uri,
        "PREFECT_HOME": str(settings.services_dir() / "prefect"),
        settings.HOME_VARIABLE: str(settings.home()),
    }
    command = [sys.executable, "-m", "mlflows.flows.guard"]
    return _spawn("runner", command, environment, url=f"unix:{settings.runner_socket()}", servers=[prefect_api_url, mlflow_tracking_uri])


def _spawn(name: str, command: list[str], environment: Mapping[str, str], **more: Any) -> dict[str, Any]:
    log = _log_path(name)
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
        )
    _CHILDREN[process.pid] = process
    return {"pid": process.pid, "ticks": start_ticks(process.pid), **more}


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Children of this very process: they must be reaped to be seen dead."""


def _clean_environment() -> dict[str, str]:
    """A service must not inherit the identity of a run or the choices of one submitter."""
    dropped = ("MLFLOW_", "AZUREML_", "MLFLOWS_", "PREFECT__", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def _wait_for(record: dict[str, Any], announce: Announce, began: float) -> None:
    waiting = dict(record)
    while waiting:
        for name, entry in list(waiting.items()):
            if not _alive(entry):
                raise ExperimentExecutionException(_died(name))
            if _ready(name, entry):
                del waiting[name]
                address = "" if name == "runner" else f" at {entry['url']}"
                announce(f"  {_TITLES[name]} ready{address} after {time.monotonic() - began:.1f} s")
        if time.monotonic() - began > START_SECONDS:
            names = ", ".join(f"{_TITLES[name]} (log: {_log_path(name)})" for name in waiting)
            raise ExperimentExecutionException(f"Not ready after {START_SECONDS:.0f} s: {names}. `mlflows down`, then `mlflows up` again.")
        time.sleep(0.1)


def _ready(name: str, entry: Mapping[str, Any]) -> bool:
    if name == "runner":
        return runner_answers()
    try:
        RestClient(entry["health"], timeout=2).raw("GET", "")
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
    tail = "\n".join(_log_path(name).read_text(errors="replace").splitlines()[-15:])
    return f"The {_TITLES[name]} stopped while starting. The end of its log {_log_path(name)}:\n{tail}"


def _stop(entry: Mapping[str, Any], seconds: float = 15.0) -> None:
    """SIGTERM to the service's process group, SIGKILL to what is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(entry["pid"], number)
        deadline = time.monotonic() + seconds
        while _alive(entry) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not _alive(entry):
            return


def _alive(entry: Mapping[str, Any]) -> bool:
    child = _CHILDREN.get(entry["pid"])
    if child is not None and child.poll() is not None:
        return False
    return start_ticks(entry["pid"]) == entry["ticks"] and entry["ticks"] is not None


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ExperimentExecutionException("No free port on 127.0.0.1")


def _log_path(name: str) -> Path:
    return settings.services_dir() / f"{name}.log"


def _record_path() -> Path:
    return settings.services_dir() / "services.json"


def _write_record(record: Mapping[str, Any]) -> None:
    temporary = _record_path().with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1))
    temporary.replace(_record_path())


@contextlib.contextmanager
def _lock(announce: Announce | None = None) -> Iterator[None]:
    folder = settings.services_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if announce:
                announce("Another process is starting the local services; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
