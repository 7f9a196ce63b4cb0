"""``get_details()``: what the history knows of a run, under SDK v1's names."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from mlflows.history import tags as names
from mlflows.history.artifacts import Artifacts
from mlflows.history.status import RunStatus, status_of
from mlflows.history.tracking import MlflowRun, NotFound, Tracking
from mlflows.job import layout

LOG_FOLDERS = (layout.BUILD_LOGS, layout.USER_LOGS, layout.SYSTEM_LOGS, layout.LOGS)
_SHOWN = ("id", "name", "version")
DRIVER_LOG = "azureml-logs/70_driver_log.txt"
"""The old runtime's name of the script's log; scripts that read logs ask for it."""


def details_of(run: MlflowRun, definition: dict[str, Any], log_files: dict[str, str]) -> dict[str, Any]:
    """The details; ``error`` and ``warnings`` only where there are some. Times are ISO 8601 in UTC."""
    details: dict[str, Any] = {
        "runId": run.tags.get(names.RUN_ID, run.run_id),
        "target": run.tags.get(names.TARGET),
        "status": status_of(run.tags, run.status),
        "startTimeUtc": utc(run.start_ms),
        "endTimeUtc": utc(run.end_ms),
        "services": {},
        "properties": properties_of(run),
        "inputDatasets": input_datasets(definition),
        "outputDatasets": output_datasets(run),
        "runDefinition": definition,
        "logFiles": log_files,
        "submittedBy": run.user,
    }
    error = error_of(run)
    if error:
        details["error"] = {"error": error, "time": details["endTimeUtc"]}
    return details


def input_datasets(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """The datasets of a run definition: which, under what name, and how the script got at them."""
    found = []
    for name, section in (definition.get("data") or {}).items():
        dataset = (section.get("dataLocation") or {}).get("dataset")
        if dataset:
            how = {"type": "RunInput", "inputName": name, "mechanism": section["mechanism"], "pathOnCompute": section.get("pathOnCompute")}
            found.append({"dataset": {key: dataset[key] for key in _SHOWN if dataset.get(key)}, "consumptionDetails": how})
    return found


def output_datasets(run: MlflowRun) -> list[dict[str, Any]]:
    """The datasets that the run has registered."""
    try:
        registered = json.loads(run.tags.get(names.OUTPUT_DATASETS) or "[]")
    except ValueError:
        return []
    return [
        {
            "identifier": {"savedId": each["id"]},
            "outputType": "RunOutput",
            "outputDetails": {"outputName": each["output"]},
            "dataset": {key: each[key] for key in _SHOWN if each.get(key)},
        }
        for each in registered
    ]


def error_of(run: MlflowRun) -> dict[str, Any] | None:
    """Why the run failed: at least ``code`` and ``message``; None if it did not."""
    text = run.tags.get(names.ERROR)
    if text:
        try:
            error = json.loads(text)
        except ValueError:
            error = {"code": "SystemError", "message": text}
        return dict(error)
    if status_of(run.tags, run.status) == RunStatus.FAILED:
        return {"code": "SystemError", "message": "The run failed and left no reason; read its logs."}
    return None


def properties_of(run: MlflowRun) -> dict[str, str]:
    """Properties, with the snapshot's among them."""
    snapshot = run.tags.get(names.SNAPSHOT_ID)
    return {**({"ContentSnapshotId": snapshot} if snapshot else {}), **names.properties(run.tags)}


def definition_of(tracking: Tracking, run: MlflowRun) -> dict[str, Any]:
    """The run definition as it was stored; empty if none was."""
    try:
        return json.loads(Artifacts(tracking, run.run_id, run.artifact_uri).read(names.DEFINITION_ARTIFACT))  # type: ignore[no-any-return]
    except NotFound:
        return {}


def log_files(artifacts: Artifacts) -> dict[str, str]:
    """Logs by name, each with an address that opens."""
    return links(artifacts, (file.path for folder in LOG_FOLDERS for file in artifacts.files(folder)))


def links(artifacts: Artifacts, log_names: Iterable[str]) -> dict[str, str]:
    """Addresses of logs."""
    return {name: artifacts.link(name) for name in log_names}


def log_name(name: str) -> str:
    """The artifact of a log; the old runtime's name is taken for the new one."""
    return f"{layout.USER_LOGS}/{layout.STD_LOG}" if name == DRIVER_LOG else name


def file_names(artifacts: Artifacts) -> list[str]:
    """The run's files, by name, without those that are ours."""
    return sorted(file.path for file in artifacts.files() if not file.path.startswith(names.OWN_ARTIFACTS))


def utc(milliseconds: int | None) -> str | None:
    """Epoch milliseconds as SDK v1 writes times."""
    if milliseconds is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds / 1000)) + f".{milliseconds % 1000:03d}000Z"
