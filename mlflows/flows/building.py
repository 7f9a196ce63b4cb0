"""The environment of a run, in its flow: looked up, checked, and built where it is not there, while the run waits."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Union

from mlflows.compute.local import read_json
from mlflows.environments import builds, credentials, registry
from mlflows.environments.builds import BuildStopped, Built, EnvironmentBuildError
from mlflows.environments.digest import digest
from mlflows.environments.registry import EnvironmentNotFound
from mlflows.environments.resolve import resolve_interpreter
from mlflows.exceptions import UserErrorException
from mlflows.flows import steering
from mlflows.flows.context import RunContext
from mlflows.flows.threads import apart
from mlflows.history.artifacts import Artifacts
from mlflows.history.shipping import LocalFile, Shipper
from mlflows.history.tracking import TrackingError
from mlflows.job import layout
from mlflows.rest import RestClient
from mlflows.spec import EnvironmentSpec, JobSpec

Logger = Union[logging.Logger, "logging.LoggerAdapter[Any]"]  # LoggerAdapter takes no type before Python 3.11

LOOK_SECONDS = 0.1
SHIP_SECONDS = 2.0
"""How often the log of a build is uploaded, as the collector does with others."""
LAST_TRIES = 5
MOST_LINES = 300
"""Of a build's log that Prefect gets; the rest is in the file."""

_BUILDING: set[str] = set()
"""Digests that this process builds. Others of it wait without a thread: a crowd of them would take all there are."""


async def provide(context: RunContext, job: JobSpec, logger: Logger) -> tuple[JobSpec, str | None]:
    """The job with its environment's definition, and the python it runs with; None if the run was canceled meanwhile.

    Raises:
        UserErrorException: the environment cannot be provided; see resolve_interpreter and builds.ensure.
    """
    launched = _launched_with(context)
    if launched is not None:
        return job, launched
    environment = job.environment
    if environment.name and not environment.definition and not environment.interpreter:
        environment = await asyncio.to_thread(_looked_up, environment, context.workspace._prefect())
        variables = environment.definition.pop("environmentVariables", None) or {}
        job = job.replace(environment=environment, environment_variables={**variables, **job.environment_variables})
    interpreter = await asyncio.to_thread(resolve_interpreter, environment)
    if interpreter is None:
        built = await _built(context, environment, logger)
        interpreter = str(built.interpreter) if built is not None else None
    return job, interpreter


async def register(context: RunContext, job: JobSpec) -> dict[str, str]:
    """Register what the run runs in, if it has a name; the tag that says as which version. A failure is a warning."""
    environment = job.environment
    definition = {**environment.definition, "environmentVariables": job.environment_variables} if environment.definition else {}
    version = await asyncio.to_thread(registry.remember, context.workspace._prefect(), environment.name, definition)
    return {"environment_version": version} if version else {}


def _launched_with(context: RunContext) -> str | None:
    """Of a job that goes on, whoever drives it now: what it was started with."""
    launched = read_json(context.folder / layout.JOB_FILE) or {}
    return str(launched["interpreter"]) if launched.get("attempt") == context.attempt.number else None


def _looked_up(environment: EnvironmentSpec, client: RestClient) -> EnvironmentSpec:
    assert environment.name is not None
    try:
        definition = registry.get(client, environment.name, environment.version)
    except EnvironmentNotFound as error:
        raise UserErrorException(f"environment: {error.reason}") from error
    return dataclasses.replace(environment, definition=definition, version=str(definition.get("version") or "") or None)


async def _built(context: RunContext, environment: EnvironmentSpec, logger: Logger) -> Built | None:
    """The environment, known or built now; None if the run was canceled meanwhile."""
    name = await asyncio.to_thread(digest, environment.definition, "venv")
    known = builds.known(name)
    if known is not None:
        logger.info("The environment %r (%s) is there already.", environment.name, name)
        return known
    logger.info("The environment %r (%s) is built now.", environment.name, name)
    wanted = _Wanted(environment.definition, name, context, logger)
    wish = asyncio.create_task(context.steering.cancel.wait())
    work = asyncio.create_task(_in_turn(wanted, credentials.from_prefect(context.workspace._prefect())))
    try:
        async with _shipped(context, logger):
            await asyncio.wait({wish, work}, return_when=asyncio.FIRST_COMPLETED)
            wanted.stop.set()  # for a build that is done it comes too late
            return await work
    except BuildStopped:
        logger.info("The build was stopped: %s", context.steering.reason)
        return None
    except EnvironmentBuildError as error:
        error.message = f"environment {environment.name!r}: {error.message}" if environment.name else error.message
        raise
    finally:
        wanted.stop.set()
        wish.cancel()
        work.cancel()


class _Wanted:
    """A definition that is to be built for a run, and the log in which the run says how it goes."""

    def __init__(self, definition: dict[str, Any], name: str, context: RunContext, logger: Logger) -> None:
        self.definition = definition
        self.name = name
        self.since = time.time()
        self.stop = threading.Event()
        self.environment = steering.base_environment(context.steering)
        self._log = context.folder / layout.BUILD_LOGS / layout.BUILD_LOG
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._logger = logger
        self._left = MOST_LINES
        self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()

    def write(self, text: str) -> None:
        """Into the run's log, and, bounded, into Prefect's; from any thread."""
        with contextlib.suppress(OSError), self._log.open("a", encoding="utf-8") as file:  # a full disk: the build says so itself
            file.write(text)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._tell, text, context=self._context)

    def _tell(self, text: str) -> None:
        for line in text.splitlines():
            if self._left > 0:
                self._left -= 1
                self._logger.info("%s", line[:4000])
                if self._left == 0:
                    self._logger.info("... the first %d lines; the whole log is %s", MOST_LINES, self._log)


async def _in_turn(wanted: _Wanted, resolve: Callable[[str], str]) -> Built:
    """Build it, or wait for whoever of this process does; if that one is canceled, the next one goes on.

    Raises:
        BuildStopped: it is not wanted any more.
    """
    tail: builds.Tail | None = None
    while wanted.name in _BUILDING:
        if tail is None:
            wanted.write(f"Waiting: another run builds the environment {wanted.name}.\n")
            tail = builds.Tail(builds.folder_of(wanted.name) / builds.LOG)
        if wanted.stop.is_set():
            raise BuildStopped
        builds.write_new(tail, wanted.write)
        await asyncio.sleep(LOOK_SECONDS)
    if tail is not None:
        builds.write_new(tail, wanted.write)
    outcome = builds.outcome(wanted.name, wanted.since)
    if outcome is not None:
        return outcome
    _BUILDING.add(wanted.name)
    try:
        return await apart(
            builds.ensure,
            wanted.definition,
            write=wanted.write,
            stopped=wanted.stop.is_set,
            resolve=resolve,
            since=wanted.since,
            environment=wanted.environment,
        )
    finally:
        _BUILDING.discard(wanted.name)


@contextlib.asynccontextmanager
async def _shipped(context: RunContext, logger: Logger) -> AsyncIterator[None]:
    """The log goes to MLflow as it grows, and whole whatever happens: there is no collector yet."""
    run = context.run
    shipper = Shipper(Artifacts(context.tracking, run.mlflow_run_id, run.artifact_uri), context.folder, {}, (), outputs=False)
    shipping = asyncio.create_task(_ship(shipper))
    try:
        yield
    finally:
        shipping.cancel()
        for left in reversed(range(LAST_TRIES)):
            try:
                await asyncio.to_thread(_upload, shipper, shipper.ended)
                break
            except TrackingError as error:
                if not left:
                    logger.warning("The log of the build is not in MLflow: %s", error.message)
                await asyncio.sleep(SHIP_SECONDS if left else 0)


async def _ship(shipper: Shipper) -> None:
    while True:
        await asyncio.sleep(SHIP_SECONDS)
        with contextlib.suppress(TrackingError):  # tried again
            await asyncio.to_thread(_upload, shipper, shipper.running)


def _upload(shipper: Shipper, chosen: Callable[[], Iterator[LocalFile]]) -> None:
    for file in chosen():
        shipper.upload(file)
