"""Prefect's client: one for all flow runs of a process, and patient with a server on SQLite.

A client costs 25 ms to make (it reads all certificates), and the engine makes seven for a run unless a context offers one.

Such a server answers 503 "database is locked" when several write at once, and Prefect's client then waits seconds. One write at a
time and a quick second try make a hundred runs at once go through in seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL

logger = logging.getLogger(__name__)

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
QUICK_TRIES = 8
FIRST_PAUSE_SECONDS = 0.02
AWAY_SECONDS = 3600.0
"""A server that takes no connection for so long is not waited for any more; Prefect's own client gives up after a minute."""
RECONNECT_SECONDS = 0.5


@contextlib.asynccontextmanager
async def shared_client() -> AsyncIterator[SparingClient]:
    """The client that everything inside uses, Prefect's engine too."""
    client = SparingClient(
        PREFECT_API_URL.value(),
        auth_string=PREFECT_API_AUTH_STRING.value(),
        api_key=PREFECT_API_KEY.value(),
        httpx_settings={"transport": PatientTransport()},
    )
    # Prefect offers a context's client only to who asks for the settings that the context was made with, and its engine asks for none
    context = AsyncClientContext()
    context.client = client
    with SyncClientContext.get_or_create():
        async with context:
            yield client


class SparingClient(PrefectClient):
    """Spares the server two requests of the engine for a new flow run: one tells what was told when it was made, one asks for it again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun: dict[UUID, tuple[FlowRun, UUID | None]] = {}

    @contextlib.contextmanager
    def beginning(self, flow_run: FlowRun, deployment_id: UUID | None) -> Iterator[None]:
        """The engine runs ``flow_run`` in the body, for the first time; it keeps its state there.

        Args:
            flow_run: made with version and policy of its flow.
            deployment_id: what it gets to know as its deployment when it asks.
        """
        self._begun[flow_run.id] = (flow_run, deployment_id)
        try:
            yield
        finally:
            self._begun.pop(flow_run.id, None)

    async def update_flow_run(self, flow_run_id: UUID, *args: Any, **kwargs: Any) -> httpx.Response:
        """As PrefectClient's."""
        if flow_run_id in self._begun:
            return httpx.Response(204)
        return await super().update_flow_run(flow_run_id, *args, **kwargs)

    async def read_flow_run(self, flow_run_id: UUID) -> FlowRun:
        """As PrefectClient's."""
        begun, deployment_id = self._begun.pop(flow_run_id, (None, None))
        if begun is None or not (begun.state and begun.state.is_running()):
            return await super().read_flow_run(flow_run_id)
        return begun.model_copy(update={"deployment_id": deployment_id, "run_count": 1})


class PatientTransport(httpx.AsyncBaseTransport):
    """One mutating request at a time; a 503 is tried again after 20, 40, 80 ... ms before Prefect's own retries begin."""

    def __init__(self) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            retries=3, limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=4)
        )
        self._writing = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if request.method not in WRITES or _only_reads(request):
            return await self._send(request)
        async with self._writing:
            return await self._send(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        pause = FIRST_PAUSE_SECONDS
        for _ in range(QUICK_TRIES):
            response = await self._connected(request)
            if response.status_code != 503:
                return response
            await response.aclose()
            logger.info("%s answered 503; again in %.2f s", request.url.path, pause)
            await asyncio.sleep(pause)
            pause *= 2
        return await self._connected(request)

    async def _connected(self, request: httpx.Request) -> httpx.Response:
        """The answer, also of a server that comes back: what could not be sent can be sent again without harm."""
        end = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return await self._transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(RECONNECT_SECONDS)


def _only_reads(request: httpx.Request) -> bool:
    """Prefect's filters are POSTs that read."""
    return request.url.path.endswith(("/filter", "/count", "/paginate", "/get_scheduled_flow_runs"))
