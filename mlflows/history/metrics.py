"""Reading a run's metrics as SDK v1 gives them."""

from __future__ import annotations

import json
from typing import Any

from mlflows.history import shapes
from mlflows.history import tags as names
from mlflows.history.artifacts import Artifacts
from mlflows.history.limits import key_of
from mlflows.history.tracking import MlflowRun, NotFound, Tracking


def metrics_of(tracking: Tracking, run: MlflowRun, name: str | None = None) -> dict[str, Any]:
    """All metrics of a run, or those called ``name``: a value, a list for a series, a dict of lists for a table.

    What the script logged through mlflow itself is there too, as floats.
    """
    documents = shapes_of(tracking, run)
    wanted = {key: entry for key, entry in documents.items() if name in (None, key)}
    found = {key: _value(tracking, run, key, entry) for key, entry in wanted.items()}
    ours = {key_of(key) for key in documents}
    ours |= {key_of(f"{key}/{column}") for key, entry in documents.items() for column in _columns(entry)}
    for key in run.metrics:
        if key not in ours and name in (None, key):
            values = [float(point.value) for point in tracking.metric_history(run.run_id, key)]
            found[key] = values[0] if len(values) == 1 else values
    return found


def shapes_of(tracking: Tracking, run: MlflowRun) -> dict[str, dict[str, Any]]:
    """The shapes document of a run; empty if there is none."""
    text = run.tags.get(names.METRICS, "")
    if text == names.METRICS_IN_ARTIFACT:
        try:
            text = Artifacts(tracking, run.run_id, run.artifact_uri).read(names.METRICS_ARTIFACT).decode()
        except NotFound:  # the tag is written after the artifact; somebody removed it
            return {}
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return {}


def _value(tracking: Tracking, run: MlflowRun, name: str, entry: dict[str, Any]) -> Any:
    if "long" not in entry:
        return shapes.value_of(entry, run.artifact_uri)
    number = int if entry["long"] == "int" else float
    return [number(point.value) for point in tracking.metric_history(run.run_id, key_of(name))]


def _columns(entry: dict[str, Any]) -> set[str]:
    if entry["kind"] != shapes.TABLE:
        return set()
    return {column for row in entry.get("values", ()) for column in row}
