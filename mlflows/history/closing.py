"""The end of a run: whoever knows it may tell it, and the first to tell wins."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflows.history import status
from mlflows.history import tags as names
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Metric, Tracking

MAX_ERROR = 7500
"""Characters of the error tag; MLflow's limit is 8000."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    ``status`` is Completed, Failed or Canceled; ``error`` has at least ``code`` and ``message``; ``ended_ms`` in epoch milliseconds,
    None is now.
    """

    status: str
    error: dict[str, Any] | None = None
    ended_ms: int | None = None


def outcome_from_status_file(record: Mapping[str, Any]) -> Outcome:
    """The outcome that a supervisor's status.json tells.

    Raises:
        ValueError: its state is not a terminal one.
    """
    state = record.get("state")
    if state not in status.TERMINAL:
        raise ValueError(f"status.json has state {state!r}; expected one of {', '.join(status.TERMINAL)}")
    ended = record.get("ended")
    return Outcome(state, _error_of(record), int(ended * 1000) if ended else None)


def close(
    tracking: Tracking,
    ref: RunRef,
    outcome: Outcome,
    metrics: Sequence[Metric] = (),
    params: Mapping[str, Any] = {},
    tags: Mapping[str, Any] = {},
) -> bool:
    """Write the end of a run: its status, error and end time, stronger than what a script's own mlflow calls have set.

    Idempotent: a run that was closed stays as it is (False). What is given besides is written with the same request, before the
    status, so that who sees the end sees all of it.

    Raises:
        ValueError: not a terminal status.
    """
    if outcome.status not in status.TERMINAL:
        raise ValueError(f"outcome {outcome.status!r} is not one of {', '.join(status.TERMINAL)}")
    ended = outcome.ended_ms or int(time.time() * 1000)
    last = tracking.written_status.get(ref.mlflow_run_id)
    if last is None or last in status.TERMINAL:
        run = tracking.get_run(ref.mlflow_run_id)
        word = run.tags.get(names.STATUS)
        if word in status.TERMINAL:
            return _finish_closing(tracking, ref, run.status, word, ended)
    final = {**tags, names.STATUS: outcome.status}
    if outcome.error:
        final[names.ERROR] = error_text(outcome.error)
    tracking.log_batch(ref.mlflow_run_id, metrics, params, final)
    tracking.update_run(ref.mlflow_run_id, status.mlflow_status(outcome.status), ended)
    status.remember_status(tracking, ref.mlflow_run_id, outcome.status)
    return True


def error_text(error: Mapping[str, Any]) -> str:
    """The error as JSON that fits a tag: the beginnings of long texts go first, and of the message the end."""
    kept = dict(error)
    for most in (4000, 2000, 1000, 300):
        text = json.dumps(kept, default=str)
        if len(text) <= MAX_ERROR:
            return text
        kept = {key: _shortened(key, value, most) for key, value in kept.items()}
    return json.dumps({key: kept.get(key) for key in ("code", "message")}, default=str)


def _finish_closing(tracking: Tracking, ref: RunRef, mlflow: str, word: str, ended: int) -> bool:
    """Whoever closed it may have died between its two requests."""
    if mlflow != status.mlflow_status(word):
        tracking.update_run(ref.mlflow_run_id, status.mlflow_status(word), ended)
    status.remember_status(tracking, ref.mlflow_run_id, word)
    return False


def _error_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    reason = record.get("reason")
    if record["state"] == status.RunStatus.COMPLETED or reason == "cancel":
        return None
    error = {"code": _CODES.get(str(reason), "UserError"), "message": record.get("message") or f"The run ended as {record['state']}."}
    for key in ("exit_code", "signal", "rank", "node", "traceback", "log_tail", "log"):
        if record.get(key) not in (None, [], ""):
            error[key] = record[key]
    return error


_CODES = {"start_error": "StartError", "deadline": "MaxRunDurationExceeded", "lost": "SystemError"}


def _shortened(key: str, value: Any, most: int) -> Any:
    if isinstance(value, list):
        return [str(line)[-300:] for line in value][-max(2, most // 200) :]
    if not isinstance(value, str) or len(value) <= most:
        return value
    return value[:most] + "..." if key == "message" else "..." + value[-most:]
