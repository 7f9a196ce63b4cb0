"""One run, on its way through the flow.

Plain classes, not data classes: Prefect looks into every data class that a task is given, field by field, for futures to wait for.
"""

from __future__ import annotations

from pathlib import Path

from mlflows import settings
from mlflows.flows.attempts import Attempt
from mlflows.flows.data_record import DataRecord
from mlflows.flows.steering import Steering
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Tracking
from mlflows.rest import RestClient
from mlflows.settings import Servers
from mlflows.spec import JobSpec


class RunWorkspace:
    """As much of a run's workspace as its secrets and data need."""

    def __init__(self, name: str, servers: Servers) -> None:
        self.name = name
        self._servers = servers

    def _prefect(self) -> RestClient:
        return RestClient(self._servers.prefect_api_url, settings.prefect_headers())


class RunContext:
    """What all tasks of a run know; nobody changes it."""

    def __init__(
        self, job: JobSpec, run: RunRef, tracking: Tracking, servers: Servers, flow_run_id: str, steering: Steering, attempt: Attempt
    ) -> None:
        self.job = job
        self.run = run
        self.tracking = tracking
        self.servers = servers
        self.flow_run_id = flow_run_id
        self.steering = steering
        self.attempt = attempt
        self.folder: Path = settings.job_folder(run.run_id)
        self.workspace = RunWorkspace(job.workspace, servers)
        self.url = tracking.run_url(run.experiment_id, run.mlflow_run_id)


class Resolved:
    """The job with everything that it reads at hand, and, once its environment is there, the python it runs with."""

    def __init__(self, job: JobSpec, data: DataRecord, interpreter: str = "") -> None:
        self.job = job
        self.data = data
        self.interpreter = interpreter
