"""What all tasks of a run know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlflows import settings
from mlflows.flows.steering import Steering
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Tracking
from mlflows.settings import Servers
from mlflows.spec import JobSpec


@dataclass(frozen=True)
class RunContext:
    """One run, on its way through the flow."""

    job: JobSpec
    run: RunRef
    tracking: Tracking
    servers: Servers
    flow_run_id: str
    steering: Steering

    @property
    def folder(self) -> Path:
        """The job folder."""
        return settings.job_folder(self.run.run_id)

    @property
    def url(self) -> str:
        """The run's page in MLflow's UI."""
        return self.tracking.run_url(self.run.experiment_id, self.run.mlflow_run_id)
