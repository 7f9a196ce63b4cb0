"""The three tasks of a run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext

from mlflows.compute.local import LocalHome
from mlflows.compute.protocol import Ended, Launch
from mlflows.compute.secrets import resolve_secrets
from mlflows.config.run_definition import run_definition
from mlflows.data import snapshot, snapshot_sharing
from mlflows.flows import artifacts, building, inputs, logs, outputs, steering
from mlflows.flows.answers import answers
from mlflows.flows.context import Resolved, RunContext
from mlflows.flows.data_record import DataRecord
from mlflows.flows.threads import apart
from mlflows.flows.variables import script_variables
from mlflows.history import closing, status
from mlflows.history import tags as names
from mlflows.history.closing import Outcome
from mlflows.history.collector import Collector
from mlflows.history.status import RunStatus
from mlflows.history.tracking import TrackingError, TrackingUnreachable
from mlflows.job import layout

Result = TypeVar("Result")

FINISH_SECONDS = 3600.0
"""How long an ended run waits for a history server that is away before it is given up to the sweeper."""
RETRY_SECONDS = 2.0
ASK_SECONDS = 1.5
"""A canceled run is stopped within two seconds."""
DELIVER_SECONDS = 20.0
"""A canceled run waits so long for what its script has written to be sent."""
SHARE_SECONDS = 1.0


@task(name="resolve_datasets", task_run_name="resolve_datasets", cache_policy=NO_CACHE, persist_result=False)
async def resolve_datasets(context: RunContext) -> Resolved | None:
    """Everything the job reads is at hand after it: the code's snapshot, the inputs; None: the run was canceled meanwhile."""
    job = context.job
    if job.snapshot is None and job.snapshot_project:
        taken = await asyncio.to_thread(snapshot.take, Path(job.source_directory), snapshot.store_of(job.workspace))
        if taken.excluded:
            get_run_logger().info("Left out of the snapshot: %s", ", ".join(taken.excluded))
        job = job.replace(snapshot=taken.id)
    elif job.snapshot is not None and not snapshot.is_here(job.snapshot, job.workspace):
        await apart(snapshot_sharing.pull, context.workspace, job.snapshot)
    if not job.inputs and not job.outputs:
        return Resolved(job, DataRecord(context.attempt.number))
    async with _status_if_slow(context, "Preparing"):
        data = await _unless_canceled(context, ASK_SECONDS, apart(inputs.provide, context, job, get_run_logger().info))
    return Resolved(job, data) if data is not None else None


@task(name="build_environment", task_run_name="build_environment", cache_policy=NO_CACHE, persist_result=False)
async def build_environment(context: RunContext, resolved: Resolved) -> Resolved | None:
    """The interpreter the script runs with is there after it; None: the run was canceled meanwhile."""
    async with _status_if_slow(context, "Preparing"):
        job, interpreter = await building.provide(context, resolved.job, get_run_logger())
    if interpreter is None:
        return None
    get_run_logger().info("Interpreter: %s", interpreter)
    return Resolved(job, resolved.data, interpreter)


@task(name="launch_training", task_run_name="launch_training", cache_policy=NO_CACHE, persist_result=False)
async def launch_training(context: RunContext, resolved: Resolved) -> Outcome:
    """Start the job, follow it to its end, and close its history."""
    home, folder, job = LocalHome(), context.folder, resolved.job
    launch = Launch(
        spec=job,
        run_id=context.run.run_id,
        attempt=context.attempt.number,
        folder=folder,
        interpreter=resolved.interpreter,
        snapshot_store=snapshot.store_of(job.workspace),
        variables={**script_variables(context.run, job, context.servers), **resolved.data.variables},
        links=resolved.data.links,
    )
    secrets = await resolve_secrets(launch.variables)
    handle = await home.start(launch, {**steering.base_environment(context.steering), **secrets})
    collector = Collector(context.tracking, context.run, folder, job, answers(job, context.servers, folder), run_definition(job))
    collector.start()
    link = asyncio.create_task(artifacts.link(context))
    shared = asyncio.create_task(_share_snapshot(context, job.snapshot, get_run_logger()))
    running = asyncio.create_task(_tell_running(context, launch, resolved.data.datasets))
    async with logs.forwarded(folder, get_run_logger()):
        ended = await _follow(home, handle, context)
    outcome = _outcome(ended)
    if resolved.data.deliveries:
        outcome = await _delivered(context, outcome)
    await asyncio.wait({running})
    left, _ = await asyncio.gather(apart(collector.finish, FINISH_SECONDS, outcome), artifacts.summary(context, outcome))
    inputs.clear(folder, get_run_logger())
    await asyncio.wait({link})
    await asyncio.wait({shared}, timeout=SHARE_SECONDS)
    if left:
        get_run_logger().warning("Not delivered to MLflow: %s", left)
    if not left.closed:
        await asyncio.to_thread(closing.close, context.tracking, context.run, outcome)
    return outcome


async def _share_snapshot(context: RunContext, identifier: str | None, logger: building.Logger) -> None:
    """The code goes to the default datastore while the script runs; no run waits for a datastore that is away."""
    if identifier is not None and snapshot_sharing.is_wanted(context.workspace):
        try:
            await apart(snapshot_sharing.push, context.workspace, identifier)
        except Exception as error:
            logger.warning("The code's snapshot is on this machine only; the default datastore did not take it: %s", error)


async def _delivered(context: RunContext, outcome: Outcome) -> Outcome:
    """The outcome, once what the script has written is where it belongs, or cannot come there."""
    say, canceled = get_run_logger().info, context.steering.cancel.is_set
    work = apart(outputs.deliver, context.folder, context.workspace, outcome, say, FINISH_SECONDS, canceled)
    try:
        delivered = await _unless_canceled(context, DELIVER_SECONDS, work)
    except Exception as error:  # a full disk, for instance: the end of the run is still to be written
        if outcome.status != RunStatus.COMPLETED:
            return outcome
        return Outcome(RunStatus.FAILED, {"code": "OutputError", "message": f"Outputs were not delivered: {error}"}, outcome.ended_ms)
    if delivered is None:
        get_run_logger().warning("Canceled while outputs were sent; what was not sent is in %s", context.folder / layout.DATA_OUTPUTS)
        return Outcome(RunStatus.CANCELED, None, outcome.ended_ms)
    registered = outputs.registered(context.folder)
    if registered:
        await _tell(context, context.tracking.set_tag, context.run.mlflow_run_id, names.OUTPUT_DATASETS, json.dumps(registered))
    return delivered


async def _tell_running(context: RunContext, launch: Launch, datasets: Sequence[Mapping[str, str]]) -> None:
    """That it runs, where, and with what data."""
    where = {**_where(context, launch), **await building.register(context, launch.spec)}
    await _tell(context, status.set_status, context.tracking, context.run, "Running", **where)
    if datasets:
        await _tell(context, context.tracking.log_inputs, context.run.mlflow_run_id, datasets, "training")


async def _tell(context: RunContext, request: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """MLflow may be away meanwhile: then it learns this before it learns the end."""
    end = time.monotonic() + FINISH_SECONDS
    while True:
        try:
            await asyncio.to_thread(request, *arguments, **named)
            return
        except TrackingUnreachable as error:
            get_run_logger().warning("History is delayed: %s", error.message)
        except TrackingError as error:
            get_run_logger().warning("Not taken by MLflow: %s", error.message)
            return
        if time.monotonic() > end:
            return
        await asyncio.sleep(RETRY_SECONDS)


async def _follow(home: LocalHome, handle: str, context: RunContext) -> Ended:
    """Wait for the end of the job; end it when somebody wishes so, or when this process is told to end and nobody else would."""
    steer = context.steering
    ending = asyncio.create_task(home.wait(handle))
    wish = asyncio.create_task(steer.cancel.wait())
    try:
        await asyncio.wait({ending, wish}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            get_run_logger().info("Stopping the run: %s", steer.reason)
            await home.stop(handle, steer.reason)
        return await ending
    except asyncio.CancelledError:  # SIGTERM by a worker, or Ctrl-C
        if not await _is_over():
            raise
        await home.stop(handle, "The process of its flow was ended")
        return await home.wait(handle)
    finally:
        wish.cancel()
        ending.cancel()


async def _is_over() -> bool:
    """Whether the job ends with this process: the run is being canceled, or there is no deployment whose worker would go on with it."""
    context = FlowRunContext.get()
    assert context is not None and context.flow_run is not None
    if context.flow_run.deployment_id is None:
        return True
    with contextlib.suppress(Exception):  # a worker's hook stops it then
        async with get_client() as client:
            current = await asyncio.wait_for(client.read_flow_run(context.flow_run.id), ASK_SECONDS)
            return current.state_type in (StateType.CANCELLING, StateType.CANCELLED)
    return False


def _where(context: RunContext, launch: Launch) -> dict[str, str]:
    """Tags that lead from the MLflow run to the flow run and to the job folder."""
    return {
        "attempt": str(launch.attempt),
        "flow_run_id": context.flow_run_id,
        "prefect_url": f"{context.servers.prefect_ui_url}/runs/flow-run/{context.flow_run_id}",
        "host": socket.gethostname(),
        "job_folder": str(launch.folder),
    }


def _outcome(ended: Ended) -> Outcome:
    if ended.status is not None:
        return closing.outcome_from_status_file(dict(ended.status))
    return Outcome("Failed", {"code": "SystemError", "message": ended.message}, None)


async def _unless_canceled(context: RunContext, seconds: float, doing: Coroutine[Any, Any, Result | None]) -> Result | None:
    """None if the run is to be canceled and the work has not ended in so many seconds more, as where a place does not answer."""
    work, wish = asyncio.create_task(doing), asyncio.create_task(context.steering.cancel.wait())
    try:
        await asyncio.wait({work, wish}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait({work}, timeout=seconds)
        return await work if work.done() else None
    finally:
        wish.cancel()


@contextlib.asynccontextmanager
async def _status_if_slow(context: RunContext, name: str, seconds: float = 0.3) -> AsyncIterator[None]:
    """A status that would last milliseconds is not worth a request."""

    async def tell() -> None:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(status.set_status, context.tracking, context.run, name)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
