"""The end of a run from outside its flow: the job is stopped, what it has written is shipped, its history is closed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from pathlib import Path

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterState
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed, Running

from mlflows import settings
from mlflows.compute import local
from mlflows.flows import driving, inputs, outputs, services, steering
from mlflows.flows.context import RunWorkspace
from mlflows.history import closing, runs
from mlflows.history import tags as names
from mlflows.history.closing import Outcome
from mlflows.history.collector import Collector
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Tracking
from mlflows.job import layout
from mlflows.spec import JobSpec

logger = logging.getLogger(__name__)

FINISH_SECONDS = 60.0
"""How long the history may be away; what it has not taken by then is left to ``mlflows doctor``."""


async def end(folder: Path, reason: str, otherwise: Outcome) -> None:
    """End a run that no flow drives. A run that is closed stays as it is.

    Args:
        folder: its job folder.
        reason: why, for the job's own message.
        otherwise: the outcome of a job that cannot tell its own.

    Raises:
        TrackingError: MLflow did not take the end.
    """
    ref = runs.remembered(folder)
    if ref is None:
        return
    outcome = await _stopped(folder, reason) or otherwise
    await asyncio.to_thread(_close, folder, ref, outcome)


async def end_cancelling(client: PrefectClient, flow_run: FlowRun) -> None:
    """Finish what is Cancelling and has no flow: Prefect lets no flow begin then."""
    run_id = flow_run.parameters.get("run_id")
    folder = settings.job_folder(run_id) if run_id else driving.folder_of(str(flow_run.id))
    if folder is not None and folder.is_dir() and not (folder / layout.CLOSED_FILE).exists():
        await end(folder, "Canceled in Prefect", Outcome("Canceled"))
    await close_task_runs(client, flow_run)
    await client.set_flow_run_state(flow_run.id, Cancelled(), force=True)
    if folder is not None and folder.is_dir():
        mark_closed(folder, "Cancelled")


async def revive(client: PrefectClient, flow_run: FlowRun) -> None:
    """A worker sets Crashed a second time, when the flow run has been adopted already: it runs, and can be canceled only if it says so."""
    run_id = steering.of(str(flow_run.id)).run_id
    if run_id and driving.is_driven(settings.job_folder(run_id)):
        state: State[None] = Running(message="Adopted")
        await client.set_flow_run_state(flow_run.id, state, force=True)


def mark_closed(folder: Path, state: str) -> None:
    """Write closed.json: flow and history are closed."""
    path = folder / layout.CLOSED_FILE
    temporary = folder / (layout.CLOSED_FILE + ".tmp")
    try:
        temporary.write_text(json.dumps({"state": state, "at": time.time(), "by": os.getpid()}))
        temporary.replace(path)
    except OSError:  # a full disk: that the file is there says the most of it
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
            path.touch()


async def close_task_runs(client: PrefectClient, flow_run: FlowRun) -> None:
    """A flow that is run again makes new task runs; the ones of the dead process would stay Running for ever."""
    of_flow, running = FlowRunFilterId(any_=[flow_run.id]), TaskRunFilterState.model_validate({"type": {"any_": [StateType.RUNNING]}})
    for task_run in await client.read_task_runs(flow_run_filter=FlowRunFilter(id=of_flow), task_run_filter=TaskRunFilter(state=running)):
        state: State[None] = Crashed(message="Its process was gone; the run was adopted by another one")
        await client.set_task_run_state(task_run.id, state, force=True)


async def _stopped(folder: Path, reason: str) -> Outcome | None:
    """The outcome that the job tells; None if it tells none, or only that this stopped it."""
    if not (folder / layout.JOB_FILE).exists():
        return None
    home, handle = local.LocalHome(), local.handle_of(folder)
    had_ended = (folder / layout.STATUS_FILE).exists()
    if not had_ended:
        await home.stop(handle, reason)
    ended = await home.wait(handle)
    outcome = closing.outcome_from_status_file(ended.status) if ended.status is not None else None
    return outcome if outcome and (had_ended or outcome.status != "Canceled") else None


def _close(folder: Path, ref: RunRef, outcome: Outcome) -> None:
    servers = services.ensure_up()
    tracking = Tracking(servers.mlflow_tracking_uri)
    known = driving.flow_of(folder)
    if known is not None:
        spec = JobSpec.from_dict(known[1])
        outcome = outputs.deliver(folder, RunWorkspace(spec.workspace, servers), outcome, logger.info, FINISH_SECONDS)
        registered = outputs.registered(folder)
        if registered:
            tracking.set_tag(ref.mlflow_run_id, names.OUTPUT_DATASETS, json.dumps(registered))
        Collector(tracking, ref, folder, spec).finish(FINISH_SECONDS, outcome)
        inputs.clear(folder, logger)
    closing.close(tracking, ref, outcome)
