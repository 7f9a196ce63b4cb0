"""SDK v1's run statuses, and how MLflow's coarse status follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflows.history import tags as names

if TYPE_CHECKING:
    from mlflows.history.runs import RunRef
    from mlflows.history.tracking import Tracking


class RunStatus:
    """The words of ``run.get_status()``."""

    NOT_STARTED = "NotStarted"
    UNAPPROVED = "Unapproved"
    PROVISIONING = "Provisioning"
    STARTING = "Starting"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"
    NOT_RESPONDING = "NotResponding"
    PAUSING = "Pausing"
    PAUSED = "Paused"

    @classmethod
    def list(cls) -> list[str]:
        """All statuses, in the order of a run's life."""
        return [value for name, value in vars(cls).items() if name.isupper()]

    @classmethod
    def get_running_statuses(cls) -> list[str]:  # type: ignore[valid-type]  # ``list`` is SDK v1's name
        """Statuses of a run that is neither ended nor about to."""
        ended = (cls.CANCEL_REQUESTED, cls.FINALIZING, *TERMINAL)
        return [value for value in cls.list() if value not in ended]


TERMINAL = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED)

_SCHEDULED = (RunStatus.NOT_STARTED, RunStatus.UNAPPROVED, RunStatus.PROVISIONING, RunStatus.PREPARING, RunStatus.QUEUED)
_MLFLOW_TERMINAL = {RunStatus.COMPLETED: "FINISHED", RunStatus.FAILED: "FAILED", RunStatus.CANCELED: "KILLED"}
_OF_MLFLOW = {
    "SCHEDULED": RunStatus.NOT_STARTED,
    "RUNNING": RunStatus.RUNNING,
    "FINISHED": RunStatus.COMPLETED,
    "FAILED": RunStatus.FAILED,
    "KILLED": RunStatus.CANCELED,
}


def mlflow_status(status: str) -> str:
    """MLflow's word for one of ours."""
    return _MLFLOW_TERMINAL.get(status) or ("SCHEDULED" if status in _SCHEDULED else "RUNNING")


def status_of(tags: dict[str, str], mlflow: str) -> str:
    """Our word for a run: its tag, unless it says terminal and MLflow does not yet; MLflow's for a run that has no tag."""
    word = tags.get(names.STATUS)
    if word is None:
        return _OF_MLFLOW.get(mlflow, RunStatus.RUNNING)
    return RunStatus.FINALIZING if word in TERMINAL and mlflow not in _MLFLOW_TERMINAL.values() else word


def set_status(tracking: Tracking, ref: RunRef, status: str, **extra: Any) -> bool:
    """Write the status of a run that goes on, and further tags with it; history.closing writes the last one.

    A run that has ended stays ended: False, and nothing is written. A new attempt (``attempt=<number>``, higher than the one that
    ended) makes it go on. The server is asked for the last status only where this process did not write it itself.

    Args:
        tracking: the MLflow server.
        ref: the run.
        status: one of RunStatus, not a terminal one.
        **extra: tags of ours by their bare names: ``attempt``, ``flow_run_id``, ``prefect_url``, ``host``, ``job_folder``, ...

    Raises:
        ValueError: an unknown or terminal status.
    """
    if status not in RunStatus.list() or status in TERMINAL:
        raise ValueError(f"status {status!r} is not one of {', '.join(s for s in RunStatus.list() if s not in TERMINAL)}")
    written = {names.STATUS: status, **{names.PREFIX + key: value for key, value in extra.items()}}
    last = tracking.written_status.get(ref.mlflow_run_id)
    # create_run leaves a run RUNNING, whatever our word says
    was = "RUNNING" if last in (None, RunStatus.NOT_STARTED) else mlflow_status(str(last))
    if last is None or last in TERMINAL:
        run = tracking.get_run(ref.mlflow_run_id)
        last, was = run.tags.get(names.STATUS), run.status
        if last in TERMINAL:
            if int(extra.get("attempt", -1)) <= int(run.tags.get(names.ATTEMPT) or 0):
                return False
            written[names.ERROR] = ""  # the last attempt's
    tracking.log_batch(ref.mlflow_run_id, tags=written)
    if mlflow_status(status) != was:
        tracking.update_run(ref.mlflow_run_id, mlflow_status(status))
    remember_status(tracking, ref.mlflow_run_id, status)
    return True


def remember_status(tracking: Tracking, mlflow_run_id: str, status: str) -> None:
    """This process wrote it; a process that lives for months keeps the last ten thousand."""
    while len(tracking.written_status) > 10_000:
        tracking.written_status.pop(next(iter(tracking.written_status)), None)
    tracking.written_status[mlflow_run_id] = status
