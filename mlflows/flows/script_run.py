"""The flow ``script-run``: one JobSpec becomes one run."""

from __future__ import annotations

import asyncio
import functools
import logging
import traceback
from dataclasses import dataclass
from typing import Any, Optional

from prefect import flow, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.states import Cancelled, Failed
from pydantic import TypeAdapter

from mlflows import settings
from mlflows.environments.work import EnvironmentBuildError
from mlflows.exceptions import ActivityFailedException, AzureMLException
from mlflows.flows import artifacts, attempts, driving, ending, hooks, inputs, services, steering
from mlflows.flows.context import RunContext
from mlflows.flows.tasks import build_environment, launch_training, resolve_datasets
from mlflows.history import closing, runs, status
from mlflows.history.closing import Outcome
from mlflows.history.tracking import Tracking
from mlflows.settings import Servers
from mlflows.spec import JobSpec

logger = logging.getLogger(__name__)

JOB = TypeAdapter(JobSpec)


@dataclass(frozen=True)
class ScriptRunResult:
    """What a completed flow run gives back."""

    run_id: str
    """Id of the run, as ``Run.get(ws, run_id)`` takes it."""
    mlflow_run_id: str
    """Its id in MLflow."""
    status: str
    """Completed."""
    url: str
    """Its page in MLflow's UI."""


@flow(
    name="script-run",
    description="Runs one Azure ML SDK v1 script: resolves its data, builds its environment, launches it, and keeps its history in MLflow.",
    persist_result=False,
    validate_parameters=False,  # Prefect would make the model anew for every run, 40 ms; the flow does it with one made once
    on_completion=[hooks.closed],
    on_failure=[hooks.closed],
    on_cancellation=[hooks.canceled],
    on_crashed=[hooks.crashed],
)
async def script_run(job: JobSpec, run_id: Optional[str] = None) -> Any:  # noqa: UP045  (Prefect's form reads the annotation)
    """Run one script.

    Args:
        job: what to run, and where.
        run_id: id of the run; leave empty for a new one.

    Returns:
        A ScriptRunResult; a state Failed or Cancelled where the script failed or was canceled.
    """
    job = JOB.validate_python(job)
    context = await asyncio.to_thread(_open, job, run_id)
    if context.attempt.completed:
        return _state_of(context, Outcome(attempts.COMPLETED))
    await _end_former_tasks(context)
    with driving.driven(context.folder, context.flow_run_id, job.to_dict()):
        try:
            outcome = await _run(context)
        except Exception as error:
            outcome = await _closed(context, Outcome("Failed", _error_of(error)))
    if outcome.status == "Canceled":  # Prefect calls no hook for a flow that returns Cancelled
        steering.forget(context.flow_run_id)
        ending.mark_closed(context.folder, "Cancelled")
    return _state_of(context, outcome)


async def _end_former_tasks(context: RunContext) -> None:
    flow_run = _flow_run()
    if flow_run.run_count > 1 and not driving.is_driven(context.folder):
        async with get_client() as client:
            await ending.close_task_runs(client, flow_run)


async def _run(context: RunContext) -> Outcome:
    resolved = await resolve_datasets(context)
    provided = await build_environment(context, resolved) if resolved is not None else None
    if provided is None:
        return await _closed(context, Outcome("Canceled"))
    return await launch_training(context, provided)


async def _closed(context: RunContext, outcome: Outcome) -> Outcome:
    """The end of a run that did not come to its job."""
    await asyncio.gather(asyncio.to_thread(closing.close, context.tracking, context.run, outcome), artifacts.summary(context, outcome))
    inputs.clear(context.folder, logger)
    return outcome


def _open(job: JobSpec, run_id: str | None) -> RunContext:
    """Find or create the MLflow run of this flow run."""
    servers = services.ensure_up()
    flow_run_id = str(_flow_run().id)
    tracking = _tracking(servers)
    ref = runs.remembered(settings.job_folder(run_id)) if run_id else None
    if ref is not None and driving.flow_of(settings.job_folder(ref.run_id)) is None:
        # just made by the submitter and not begun: MLflow need not be asked, which would take it 70 ms
        status.remember_status(tracking, ref.mlflow_run_id, status.RunStatus.NOT_STARTED)
    if ref is None:
        ref = runs.open_run(tracking, job, run_id or runs.new_run_id(job.experiment), flow_run_id)
        runs.remember(settings.job_folder(ref.run_id), ref)
    attempt = attempts.begin(settings.job_folder(ref.run_id))
    if attempt.new:
        status.set_status(tracking, ref, status.RunStatus.PREPARING, attempt=str(attempt.number))
    steer = steering.of(flow_run_id)
    steer.run_id = ref.run_id
    return RunContext(job, ref, tracking, servers, flow_run_id, steer, attempt)


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    return context.flow_run


@functools.lru_cache
def _tracking(servers: Servers) -> Tracking:
    """One for all runs of a process: it keeps connections and knows what was written last."""
    return Tracking(servers.mlflow_tracking_uri, servers.mlflow_ui_url)


def _error_of(error: Exception) -> dict[str, Any]:
    if isinstance(error, EnvironmentBuildError):  # where in our code it was noticed helps nobody
        return {"code": "UserError", "message": error.message}
    message = error.message if isinstance(error, AzureMLException) else f"{type(error).__name__}: {error}"
    code = "UserError" if isinstance(error, AzureMLException) else "SystemError"
    return {"code": code, "message": message, "traceback": "".join(traceback.format_exception(error))[-4000:]}


def _state_of(context: RunContext, outcome: Outcome) -> State[Any] | ScriptRunResult:
    message = str((outcome.error or {}).get("message", ""))
    if outcome.status == "Completed":
        return ScriptRunResult(context.run.run_id, context.run.mlflow_run_id, outcome.status, context.url)
    if outcome.status == "Canceled":
        return Cancelled(message=message or "Canceled")
    return Failed(message=f"{message} (run {context.run.run_id})", data=ActivityFailedException(message))
