"""What would be started, without starting anything."""

from __future__ import annotations

from typing import Any

from mlflows import settings
from mlflows.compute.local import LocalHome
from mlflows.compute.protocol import Launch
from mlflows.data import snapshot
from mlflows.environments import builds
from mlflows.environments.resolve import resolve_interpreter
from mlflows.flows.variables import script_variables
from mlflows.history.runs import RunRef
from mlflows.settings import Servers
from mlflows.spec import EnvironmentSpec, JobSpec

NOT_YET = "<known when the run starts>"


def process_of(spec: JobSpec, run_id: str) -> dict[str, Any]:
    """The command and the job file of a run on this machine, and its inputs and outputs, of which no file is looked at. What only a server
    can say is NOT_YET.

    Raises:
        UserErrorException: its environment cannot be provided.
    """
    run = RunRef(run_id, NOT_YET, NOT_YET, spec.experiment, NOT_YET)
    launch = Launch(
        spec=spec,
        run_id=run_id,
        attempt=0,
        folder=settings.job_folder(run_id),
        interpreter=_interpreter(spec.environment),
        snapshot_store=snapshot.store_of(spec.workspace),
        variables=script_variables(run, spec, _servers()),
    )
    data = {"inputs": spec.inputs, "outputs": spec.outputs}
    return {**LocalHome().render(launch), **{field: its for field, its in data.items() if its}}


def _interpreter(environment: EnvironmentSpec) -> str:
    """Of an environment that is still to be built the place where it will be."""
    if environment.name and not environment.definition and not environment.interpreter:
        return NOT_YET
    return resolve_interpreter(environment) or str(builds.interpreter_of(environment.definition))


def _servers() -> Servers:
    """Those that are configured; a submit would start what is missing."""
    prefect, mlflow = settings.configured_prefect() or NOT_YET, settings.configured_mlflow() or NOT_YET
    return Servers(prefect, mlflow, prefect, mlflow, local=False)
