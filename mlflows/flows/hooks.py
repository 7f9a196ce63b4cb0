"""What happens when a flow run has ended, whichever way, in its own process or in the worker that started it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prefect import get_client

from mlflows import settings
from mlflows.flows import driving, ending, handoff, services, steering
from mlflows.history.closing import Outcome
from mlflows.job import layout

MOST_STARTS = 5
"""A flow that has crashed so often is not started again."""


def closed(flow: Any, flow_run: Any, state: Any) -> None:
    """on_completion, on_failure: flow and history are closed; who waits for the run may go on."""
    folder = _folder_of(flow_run)
    if folder is not None:
        ending.mark_closed(folder, state.name)


async def canceled(flow: Any, flow_run: Any, state: Any) -> None:
    """on_cancellation: a worker has ended the flow's process, or the wish came when the job had ended already."""
    folder = _folder_of(flow_run)
    if folder is not None and not _is_closed(folder):
        await ending.end(folder, "Canceled in Prefect", Outcome("Canceled"))
        async with get_client() as client:
            await ending.close_task_runs(client, flow_run)
        ending.mark_closed(folder, "Cancelled")


async def crashed(flow: Any, flow_run: Any, state: Any) -> None:
    """on_crashed: the flow's process is gone, its job is not. The same flow run goes on in another process, which adopts the job.

    Not by scheduling it again: a worker sets the state Crashed a second time after its hooks.
    """
    folder = _folder_of(flow_run)
    if folder is None or _is_closed(folder):
        return
    async with get_client() as client:
        current = await client.read_flow_run(flow_run.id)
        if current.run_count < MOST_STARTS:
            known = driving.flow_of(folder)
            spec = known[1] if known else current.parameters["job"]
            await asyncio.to_thread(handoff.adopt, spec, folder.name, str(flow_run.id), services.ensure_up())
            return
        await ending.close_task_runs(client, current)
    message = f"The flow of the run crashed {current.run_count} times, the last time: {state.message}"
    await ending.end(folder, message, Outcome("Failed", {"code": "SystemError", "message": message}))
    ending.mark_closed(folder, "Crashed")


def _folder_of(flow_run: Any) -> Path | None:
    """The job folder on this machine; None if there is none."""
    known = steering.forget(str(flow_run.id))
    run_id = known.run_id if known else (flow_run.parameters or {}).get("run_id")
    folder = settings.job_folder(run_id) if run_id else driving.folder_of(str(flow_run.id))
    return folder if folder is not None and folder.is_dir() else None


def _is_closed(folder: Path) -> bool:
    return (folder / layout.CLOSED_FILE).exists()
