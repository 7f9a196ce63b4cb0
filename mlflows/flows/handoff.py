"""From the submitting process to the one that runs the flow. Standard library only.

A resident runner takes the run over a unix socket in milliseconds; with servers of one's own and no runner, a detached driver process
takes it. Either way the run goes on when the submitter exits.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from mlflows import settings
from mlflows.exceptions import ExperimentExecutionException
from mlflows.settings import Servers
from mlflows.spec import JobSpec

ANSWER_SECONDS = 60.0


def hand_over(spec: JobSpec, run_id: str, servers: Servers) -> str:
    """Make the flow run and have somebody run it.

    Returns:
        The id of the Prefect flow run, which exists then.

    Raises:
        ExperimentExecutionException: nobody took it; the message says why.
    """
    request = {
        "op": "submit",
        "spec": spec.to_dict(),
        "run_id": run_id,
        "environment": dict(os.environ),
        "servers": {"prefect_api_url": servers.prefect_api_url, "mlflow_tracking_uri": servers.mlflow_tracking_uri},
    }
    answer = _ask_runner(request) or _start_driver(request, servers)
    if not answer.get("ok"):
        raise ExperimentExecutionException(f"The run {run_id} was not taken over: {answer.get('error', 'no answer')}")
    return str(answer["flow_run_id"])


def _ask_runner(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The resident runner's answer; None if there is none, or if it serves other servers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(settings.runner_socket()))
        except OSError:
            return None
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = connection.makefile("rb").readline()
        except OSError as error:
            return {"error": f"the runner did not answer ({error}); see `mlflows status`"}
    if not answer:
        return {"error": "the runner stopped before it answered; see `mlflows status`"}
    value: dict[str, Any] = json.loads(answer)
    return None if value.get("other_servers") else value


def _start_driver(request: Mapping[str, Any], servers: Servers) -> dict[str, Any]:
    log = settings.services_dir() / "drivers.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "PREFECT_API_URL": servers.prefect_api_url,
        "MLFLOW_TRACKING_URI": servers.mlflow_tracking_uri,
        settings.HOME_VARIABLE: str(settings.home()),
    }
    with log.open("ab") as errors:
        driver = subprocess.Popen(
            [sys.executable, "-m", "mlflows.flows.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    assert driver.stdin is not None and driver.stdout is not None
    driver.stdin.write(json.dumps(request).encode() + b"\n")
    driver.stdin.close()
    answer = driver.stdout.readline()
    driver.stdout.close()
    driver.returncode = 0  # it outlives this process on purpose: no warning when the object is collected
    return json.loads(answer) if answer else {"error": f"the driver process stopped; its log is {log}"}
