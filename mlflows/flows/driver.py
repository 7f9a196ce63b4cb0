"""A process of its own for one run: what carries a submit where no resident runner is.

Reads the request as a JSON line from standard input, answers with a JSON line, and goes on until the run has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.flow_engine import run_flow_async
from prefect.states import Pending

from mlflows.flows import ending, steering
from mlflows.flows.client import shared_client
from mlflows.flows.runner import run_in_thread
from mlflows.flows.script_run import script_run

CANCEL_POLL_SECONDS = 2.0


async def drive(request: dict[str, Any]) -> None:
    """Create the flow run, say so, and run it."""
    async with shared_client() as client:
        parameters = {"job": request["spec"], "run_id": request["run_id"]}
        try:
            flow_run = await _flow_run(client, request, parameters)
        except Exception as error:
            _say({"error": f"{os.environ['PREFECT_API_URL']}: {type(error).__name__}: {error}"})
            return
        if not await asyncio.to_thread(sys.stdin.readline):  # the submitter left before it said go
            if request["op"] == "submit":
                await client.delete_flow_run(flow_run.id)
            return
        _say({"ok": True, "flow_run_id": str(flow_run.id)})
        steering.of(str(flow_run.id)).environment = request["environment"]
        watch = asyncio.create_task(_watch_for_cancel(client, flow_run.id))
        state: Any = flow_run.state
        if not state.is_cancelling():
            state = await run_flow_async(script_run, flow_run=flow_run, parameters=parameters, return_type="state")
        if state.is_cancelling():
            await ending.end_cancelling(client, flow_run)
        watch.cancel()


async def _flow_run(client: PrefectClient, request: dict[str, Any], parameters: dict[str, Any]) -> FlowRun:
    if request["op"] == "adopt":
        with contextlib.suppress(ObjectNotFound):
            return await client.read_flow_run(UUID(request["flow_run_id"]))
    tags = [request["spec"]["experiment"]]
    return await client.create_flow_run(script_run, parameters=parameters, name=request["run_id"], tags=tags, state=Pending())


async def _watch_for_cancel(client: PrefectClient, flow_run_id: UUID) -> None:
    while True:
        await asyncio.sleep(CANCEL_POLL_SECONDS)
        with contextlib.suppress(Exception):  # the server may be away; it is asked again
            flow_run = await client.read_flow_run(flow_run_id)
            if flow_run.state_type == StateType.CANCELLING:
                steering.of(str(flow_run_id)).cancel.set()
            elif flow_run.state_type == StateType.CRASHED:
                await ending.revive(client, flow_run)


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)
    # the submitter reads one line and leaves: nothing may be written to its pipe after that
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def main() -> None:
    """Entry point of the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    run_in_thread(drive(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
