"""From the submitting process to the one that runs the flow. Standard library only.

A resident runner takes the run over a unix socket in milliseconds; with servers of one's own and no runner, a detached driver process
takes it. Either way the run goes on when the submitter exits.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mlflows import settings
from mlflows.exceptions import ExperimentExecutionException
from mlflows.history.runs import RunRef
from mlflows.settings import Servers
from mlflows.spec import JobSpec

ANSWER_SECONDS = 60.0
RESTART_SECONDS = 20.0
"""A runner that died is back in three."""

_OF_A_JOB = re.compile(
    r"AZUREML_\w*|MLFLOWS_(JOB_FOLDER|RANK|WORLD_SIZE|EXPERIMENT|EXPERIMENT_ID|PARENT_RUN_ID)|MLFLOW_(RUN|EXPERIMENT)_ID"
)
"""Variables by which a process knows that it is in a job. One that drives another job must not: it would ask the first job's flow."""


class Handoff:
    """One run on its way to who runs it, in two steps, so that two servers work at once.

    Made, it has asked for the Prefect flow run and the MLflow run; ``go`` lets it start. Closed before that (as a context manager: left
    by an exception), nothing starts and what was made is taken back.

    Raises:
        ExperimentExecutionException: nobody takes it; the message says why.
    """

    def __init__(self, spec: JobSpec, run_id: str, servers: Servers) -> None:
        environment = dict(os.environ)
        request = {"op": "submit", "spec": spec.to_dict(), "run_id": run_id, "environment": environment, "servers": _named(servers)}
        self._ask(request, servers)

    @classmethod
    def of(cls, request: Mapping[str, Any], servers: Servers) -> Handoff:
        """Of a request that is made already."""
        made = cls.__new__(cls)
        made._ask(request, servers)
        return made

    def _ask(self, request: Mapping[str, Any], servers: Servers) -> None:
        self._run_id, self._request = request["run_id"], request
        self._peer = _runner(request) or _driver(request, servers)

    def history(self) -> RunRef | None:
        """The MLflow run that the other side has made; None: the caller tries to, and meets what is wrong."""
        try:
            made = self._peer.history()
        except OSError:
            return None
        return RunRef(**made) if made else None

    def go(self) -> str:
        """Let it start.

        Returns:
            The id of the Prefect flow run, which exists then.
        """
        answer = self._ask_go()
        deadline = time.monotonic() + RESTART_SECONDS
        while not answer and time.monotonic() < deadline:
            # the runner died under it; its guard starts another, and the run's id keeps it from being made twice
            time.sleep(0.2)
            peer = _runner(self._request)
            if peer is not None:
                self._peer.close()
                self._peer = peer
                answer = self._ask_go()
        if not answer.get("ok"):
            raise ExperimentExecutionException(
                f"The run {self._run_id} was not taken over: {answer.get('error') or self._peer.name + ' stopped before it answered'}. "
                f"Its log is {self._peer.log}; see `mlflows status`."
            )
        return str(answer["flow_run_id"])

    def _ask_go(self) -> dict[str, Any]:
        """The answer; empty if the other side went away without one."""
        try:
            return self._peer.ask({"op": "go"})
        except OSError:
            return {}

    def __enter__(self) -> Handoff:
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.close()


def adopt(spec: Mapping[str, Any], run_id: str, flow_run_id: str, servers: Servers) -> str:
    """Have the flow of a run taken up again: it finds the job, follows it to its end and closes the run.

    Returns:
        The id of the flow run; a new one if Prefect does not know the former any more.

    Raises:
        ExperimentExecutionException: nobody took it.
    """
    request = {"op": "adopt", "spec": spec, "run_id": run_id, "flow_run_id": flow_run_id, "environment": None, "servers": _named(servers)}
    with Handoff.of(request, servers) as handoff:
        return handoff.go()


def _named(servers: Servers) -> dict[str, str]:
    return {"prefect_api_url": servers.prefect_api_url, "mlflow_tracking_uri": servers.mlflow_tracking_uri}


class _Peer(Protocol):
    name: str
    log: Path

    def history(self) -> dict[str, Any] | None: ...

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]: ...

    def close(self) -> None: ...


class _Runner:
    """The resident runner, at the other end of a unix socket."""

    name = "the runner"

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self.log = settings.services_dir() / "runner.log"

    def history(self) -> dict[str, Any] | None:
        return self.ask({"op": "history"}).get("run")

    def tell(self, request: Mapping[str, Any]) -> None:
        self._connection.sendall(json.dumps(request).encode() + b"\n")

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.tell(request)
        return json.loads(self._answers.readline() or b"{}")  # type: ignore[no-any-return]

    def close(self) -> None:
        self._answers.close()
        self._connection.close()


class _Driver:
    """A process of its own, detached, that runs this one run."""

    name = "the driver process"

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    def history(self) -> None:
        """It takes seconds to start, and would make the MLflow run no sooner than the submitter."""

    def tell(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdout is not None
        self.tell(request)
        return json.loads(self._process.stdout.readline() or b"{}")  # type: ignore[no-any-return]

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.returncode = 0  # it outlives this process on purpose: no warning when the object is collected


def _runner(request: Mapping[str, Any]) -> _Peer | None:
    """The resident runner, told of the run; None if there is none, or if it works with other servers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_SECONDS)
    peer = None
    try:
        connection.connect(str(settings.runner_socket()))
        peer = _Runner(connection)
        if peer.ask({"op": "hello", "servers": request["servers"]}).get("ok"):
            peer.tell(request)
            return peer
    except OSError:
        pass
    (peer or connection).close()
    return None


def _driver(request: Mapping[str, Any], servers: Servers) -> _Peer:
    log = settings.services_dir() / "drivers.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not _OF_A_JOB.fullmatch(name)},
        "PREFECT_API_URL": servers.prefect_api_url,
        "MLFLOW_TRACKING_URI": servers.mlflow_tracking_uri,
        settings.HOME_VARIABLE: str(settings.home()),
    }
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflows.flows.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    peer = _Driver(process, log)
    peer.tell(request)
    return peer
