"""The resident runner: a process with Prefect imported that takes flow runs at once.

From ``submit`` by a unix socket, from Prefect's UI and ``prefect deployment run`` by event, from schedules and after a restart by a slow
poll. If it dies, the jobs go on, and the next runner adopts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Coroutine
from dataclasses import asdict
from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.schemas.actions import FlowRunCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy, StateType
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.exceptions import Abort, ObjectNotFound
from prefect.flow_engine import run_flow_async
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Pending, to_state_create
from prefect.utilities.engine import propose_state

from mlflows import blocks, settings
from mlflows.compute import spares
from mlflows.data.dataset_block import MlflowsDataset
from mlflows.data.datastore_block import BLOCKS
from mlflows.environments.block import MlflowsEnvironment
from mlflows.flows import ending, steering
from mlflows.flows.client import shared_client
from mlflows.flows.guard import TAKEN
from mlflows.flows.record import own_folder
from mlflows.flows.script_run import script_run
from mlflows.history import closing, runs
from mlflows.history.closing import Outcome
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Tracking
from mlflows.spec import JobSpec

DEPLOYMENT = "local"
TAGS = ["mlflows"]
POLL_SECONDS = 10.0
HEARTBEAT_SECONDS = 30
MOST_TRIES = 5
SWITCH_SECONDS = 0.0005
"""How long a thread waits for another one that computes; by default ten times that, at each answer of a server that a collector gets."""
SCHEDULED, CANCELLING = "prefect.flow-run.Scheduled", "prefect.flow-run.Cancelling"

logger = logging.getLogger("mlflows.runner")


class _Wanted(NamedTuple):
    """What a submitter has asked for and is being made. ``history`` is None for a run that is adopted, and gives None on failure."""

    flow_run: asyncio.Task[FlowRun]
    history: asyncio.Task[RunRef | None] | None = None


class Runner:
    """Runs the flow runs of one deployment in this process."""

    def __init__(self) -> None:
        self._running: dict[UUID, asyncio.Task[None]] = {}
        self._deployment = self._flow = UUID(int=0)
        self._servers = {name: os.environ[name.upper()].rstrip("/") for name in ("prefect_api_url", "mlflow_tracking_uri")}

    async def serve(self) -> None:
        """Until the process ends."""
        spares.keep()
        await _server_is_up()
        async with shared_client() as self._client:
            self._deployment = await self._deploy()
            self._flow = (await self._client.read_deployment(self._deployment)).flow_id
            await self._adopt()
            server = await asyncio.start_unix_server(self._connection, path=_socket_path(), limit=64 << 20)
            logger.info("Ready: deployment %s/%s", script_run.name, _deployment())
            async with server:
                await asyncio.gather(server.serve_forever(), self._watch_events(), self._poll(), self._make_types_known())

    async def _deploy(self) -> UUID:
        deployment = await script_run.ato_deployment(
            name=_deployment(), description="Runs on this machine, by the resident runner that `mlflows up` starts.", tags=TAGS
        )
        return await deployment.aapply()

    async def _make_types_known(self) -> None:
        """So that the first one who registers an environment, a dataset or a datastore need not import Prefect for it."""
        try:
            for block in (MlflowsEnvironment, MlflowsDataset, *BLOCKS.values()):
                await asyncio.to_thread(blocks.teach, self._servers["prefect_api_url"], block)
        except Exception as error:  # who registers one does it then
            logger.warning("The types of blocks are not registered: %r", error)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One submitter: ``hello``, ``submit``, ``history``, then ``go``, which alone starts something."""
        wanted: _Wanted | None = None
        try:
            while line := await reader.readline():
                request = json.loads(line)
                if request["op"] in ("submit", "adopt"):
                    wanted = self._wanted(request)
                    continue
                writer.write(json.dumps(await self._answer(request, wanted)).encode() + b"\n")
                await writer.drain()
                wanted = None if request["op"] == "go" else wanted
        except (ConnectionError, ValueError) as error:
            logger.warning("A submitter's connection broke: %r", error)
        finally:
            writer.close()
            if wanted is not None:
                await self._take_back(wanted)

    def _wanted(self, request: dict[str, Any]) -> _Wanted:
        """Prefect makes its flow run while MLflow makes its run."""
        if request["op"] == "adopt":
            return _Wanted(asyncio.create_task(self._left(request)))
        return _Wanted(asyncio.create_task(self._create(request)), asyncio.create_task(asyncio.to_thread(self._in_history, request)))

    async def _answer(self, request: dict[str, Any], wanted: _Wanted | None) -> dict[str, Any]:
        if request["op"] == "hello":
            return {"ok": request["servers"] == self._servers}
        if request["op"] == "history" and wanted is not None and wanted.history is not None:
            ref = await wanted.history
            return {"run": asdict(ref) if ref else None}
        if request["op"] != "go" or wanted is None:
            return {"error": f"unexpected request {request['op']!r}"}
        try:
            made = await wanted.flow_run
        except Exception as error:
            logger.exception("A flow run was not made")
            return {"error": f"{os.environ['PREFECT_API_URL']}: {type(error).__name__}: {error}"}
        self._begin(made)
        return {"ok": True, "flow_run_id": str(made.id)}

    async def _create(self, request: dict[str, Any]) -> FlowRun:
        run_id, spec = request["run_id"], request["spec"]
        # not by way of its deployment: the server would look at that, and would have to be told the flow's version and policy afterwards
        wish = FlowRunCreate(
            flow_id=self._flow,
            flow_version=script_run.version,
            deployment_id=self._deployment,
            parameters={"job": spec, "run_id": run_id},
            state=to_state_create(Pending()),
            name=run_id,
            tags=[*TAGS, spec["experiment"]],
            empirical_policy=FlowRunPolicy(retries=script_run.retries, retry_delay=0),
            idempotency_key=run_id,
        )
        made = await self._client.request("POST", "/flow_runs/", json=wish.model_dump(mode="json", exclude_unset=True))
        flow_run = FlowRun.model_validate(made.json())
        steering.of(str(flow_run.id)).environment = request["environment"]
        return flow_run

    def _in_history(self, request: dict[str, Any]) -> RunRef | None:
        """The MLflow run of a run that is being submitted; None if it could not be made: the submitter tries that itself, and tells why."""
        folder = settings.job_folder(request["run_id"])
        try:
            ref = runs.remembered(folder)  # if the submitter comes for the second time
            if ref is None:
                spec = JobSpec.from_dict(request["spec"])
                ref = runs.create_script_run(self._tracking(), spec, request["run_id"], environment=request["environment"])
                runs.remember(folder, ref)
        except Exception as error:
            logger.warning("No MLflow run made for %s: %r", request["run_id"], error)
            return None
        return ref

    def _tracking(self) -> Tracking:
        """A new one knows nothing: experiments are renamed, and a submitter may have ended its run."""
        return Tracking(self._servers["mlflow_tracking_uri"])

    async def _left(self, request: dict[str, Any]) -> FlowRun:
        """The flow run of a run that lost its flow; a new one if Prefect has lost it, too."""
        try:
            return await self._client.read_flow_run(UUID(request["flow_run_id"]))
        except ObjectNotFound:
            return await self._create(request)

    async def _take_back(self, wanted: _Wanted) -> None:
        """The submitter left before it said go: what it asked for must not stay Pending."""
        with contextlib.suppress(Exception):
            ref = await wanted.history if wanted.history is not None else None
            if ref is not None:
                await asyncio.to_thread(closing.close, self._tracking(), ref, Outcome("Canceled"))
        with contextlib.suppress(Exception):
            made = await wanted.flow_run
            if made.state_type == StateType.PENDING:
                await self._client.delete_flow_run(made.id)
            steering.forget(str(made.id))

    def _begin(self, flow_run: FlowRun) -> None:
        if flow_run.id in self._running:
            return
        task = asyncio.create_task(self._execute(flow_run))
        self._running[flow_run.id] = task
        task.add_done_callback(lambda _: self._running.pop(flow_run.id, None))

    async def _execute(self, flow_run: FlowRun) -> None:
        """To its end; if Prefect's server is away so long that the flow breaks, once more."""
        for number in range(MOST_TRIES):
            try:
                await self._run(await self._client.read_flow_run(flow_run.id) if number else flow_run)
                return
            except Exception:
                logger.exception("Flow run %s; again in %.0f s", flow_run.name, POLL_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    async def _run(self, flow_run: FlowRun) -> None:
        # without its deployment's id the engine does not start an observer for it, which costs 110 ms
        own = flow_run.model_copy(update={"deployment_id": None})
        new = flow_run.run_count == 0 and flow_run.flow_version == script_run.version
        state: Any = flow_run.state
        try:
            if state is None or not state.is_cancelling():
                with self._client.beginning(own, flow_run.deployment_id) if new else contextlib.nullcontext():
                    state = await run_flow_async(script_run, flow_run=own, parameters=dict(flow_run.parameters), return_type="state")
        except Abort as error:
            logger.info("Flow run %s not started: %s", flow_run.name, error)
            state = (await self._client.read_flow_run(flow_run.id)).state
        if state is not None and state.is_cancelling():
            # wished before it began, or when its job had ended already: Prefect lets no flow run then, and nobody else would finish it
            await ending.end_cancelling(self._client, flow_run)

    async def _watch_events(self) -> None:
        wanted = EventFilter(event=EventNameFilter(name=[SCHEDULED, CANCELLING]))
        while True:
            try:
                async with get_events_subscriber(filter=wanted, reconnect_on_clean_close=True) as events:
                    async for event in events:
                        await self._on_event(event.event, UUID(event.resource.id.removeprefix("prefect.flow-run.")))
            except Exception as error:
                logger.warning("Event stream: %r; again in 2 s", error)
            await asyncio.sleep(2)

    async def _on_event(self, name: str, flow_run_id: UUID) -> None:
        if name == CANCELLING:
            if flow_run_id in self._running:
                steering.of(str(flow_run_id)).cancel.set()
            return
        with contextlib.suppress(ObjectNotFound):
            await self._claim(await self._client.read_flow_run(flow_run_id))

    async def _claim(self, flow_run: FlowRun) -> None:
        """Take a scheduled run that is due: a second proposal of Pending is refused, so one runner wins."""
        if flow_run.deployment_id != self._deployment or flow_run.id in self._running or not _due(flow_run):
            return
        try:
            state = await propose_state(self._client, Pending(), flow_run_id=flow_run.id)
        except Abort:
            return
        if state.is_pending():
            self._begin(flow_run)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=POLL_SECONDS)
                for flow_run in await self._client.get_scheduled_flow_runs_for_deployments([self._deployment], scheduled_before=soon):
                    asyncio.create_task(self._when_due(flow_run))
                await self._cancel_wished()
            except Exception as error:
                logger.warning("Poll: %r", error)

    async def _when_due(self, flow_run: FlowRun) -> None:
        start = flow_run.next_scheduled_start_time or flow_run.expected_start_time
        if start is not None:
            await asyncio.sleep(max(0.0, start.timestamp() - time.time()))
        await self._claim(flow_run)

    async def _cancel_wished(self) -> None:
        """An event may be lost while the server is away: what is Cancelling here is found by asking, too."""
        if not self._running:
            return
        for flow_run in await self._read({"id": {"any_": list(self._running)}}, [StateType.CANCELLING, StateType.CRASHED]):
            if flow_run.state_type == StateType.CANCELLING:
                steering.of(str(flow_run.id)).cancel.set()
            else:
                await ending.revive(self._client, flow_run)

    async def _adopt(self) -> None:
        """Runs that a former runner left: their jobs go on, and so does their flow."""
        left = await self._read(
            {"deployment_id": {"any_": [self._deployment]}}, [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
        )
        for flow_run in left:
            logger.info("Adopting %s (%s)", flow_run.name, flow_run.state_name)
            self._begin(flow_run)

    async def _read(self, chosen: dict[str, Any], states: list[StateType]) -> list[FlowRun]:
        chosen = {**chosen, "state": {"type": {"any_": states}}}
        return await self._client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(chosen))


def _deployment() -> str:
    """On a server that others use too, each home has one of its own: its runner adopts what is left of that, and of nothing else."""
    if "prefect" in settings.services_record():
        return DEPLOYMENT
    return f"{DEPLOYMENT}-{socket.gethostname()}-{settings.runner_socket().stem[:6]}"


def _due(flow_run: FlowRun) -> bool:
    start = flow_run.next_scheduled_start_time or flow_run.expected_start_time
    return start is None or start.timestamp() <= time.time() + 0.5


def _socket_path() -> str:
    path = own_folder() / settings.runner_socket().name
    path.unlink(missing_ok=True)
    return str(path)


async def _server_is_up() -> None:
    import httpx

    async with httpx.AsyncClient(trust_env=False) as probe:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await probe.get(os.environ["PREFECT_API_URL"] + "/health", timeout=2)).status_code == 200:
                    return
            await asyncio.sleep(0.1)


def run_in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Run an event loop beside the main thread, which waits for signals: with the loop in the main thread Prefect's engine would
    catch SIGTERM and end the jobs. A stopped runner leaves jobs and flow runs as they are; the next one adopts them."""

    def target() -> None:
        try:
            with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT_SECONDS}):
                asyncio.run(work)
        except BaseException:
            logger.exception("The runner failed")
            os._exit(1)
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        # a handler, not a blocked signal: jobs would inherit the mask
        signal.signal(number, lambda *_: os._exit(0))
    threading.Thread(target=target, name="flows").start()
    while True:
        signal.pause()


def _quiet_console() -> None:
    """What flows log goes to Prefect's API; drawing it in colours here as well would cost every run 14 ms."""
    for name in ("prefect", "prefect.flow_runs", "prefect.task_runs", "root", ""):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, PrefectConsoleHandler):
                handler.setLevel(logging.WARNING)


def main() -> None:
    """Entry point of the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    settings.services_dir().mkdir(parents=True, exist_ok=True)
    lock = (settings.services_dir() / "runner.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(TAKEN)
    sys.setswitchinterval(SWITCH_SECONDS)
    _quiet_console()
    run_in_thread(Runner().serve())


if __name__ == "__main__":
    main()
