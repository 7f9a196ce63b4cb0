"""The local services: a Prefect server, an MLflow server and a resident runner on loopback, started by the first submit and kept.

Standard library only, and little of it: a submit that finds them up must not import Prefect, nor what starts servers, to learn so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from mlflows import settings
from mlflows.flows.record import TITLES, Announce, alive, log_path
from mlflows.settings import Servers


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
    from mlflows.flows import starting

    return starting.stop(announce or _to_stderr)


def status() -> dict[str, dict[str, Any]]:
    """Per service: ``running``, ``pid``, ``url``, ``log``."""
    record = settings.services_record()
    return {
        name: {
            "running": bool(record.get(name)) and alive(record[name]),
            "pid": record.get(name, {}).get("pid"),
            "url": record.get(name, {}).get("url"),
            "log": str(log_path(name)),
        }
        for name in TITLES
    }


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
    return record if all(name in record and alive(record[name]) for name in needed) else None


def _start(prefect: str | None, mlflow: str | None, announce: Announce) -> dict[str, Any]:
    from mlflows.flows import starting  # a submit that finds the services up does without

    return starting.start(prefect, mlflow, announce)
