"""What a process that runs flows knows about them besides their parameters: a wish to cancel, the submitter's environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Steering:
    """Of one flow run in this process.

    ``environment`` is the submitter's: a local script starts in it. It stays in memory, since it may hold secrets.
    """

    cancel: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = "Canceled on request"
    environment: Mapping[str, str] | None = None
    run_id: str | None = None


_STEERED: dict[str, Steering] = {}


def of(flow_run_id: str) -> Steering:
    """The steering of a flow run; made at first use."""
    return _STEERED.setdefault(flow_run_id, Steering())


def forget(flow_run_id: str) -> Steering | None:
    """The flow run has ended here; what was known about it."""
    return _STEERED.pop(flow_run_id, None)


def base_environment(steering: Steering) -> dict[str, str]:
    """The environment a local script starts in: the submitter's, else this process's, without what steers servers and runs."""
    source = os.environ if steering.environment is None else steering.environment
    private = ("PREFECT_", "MLFLOW_", "MLFLOWS_", "AZUREML_")
    return {name: value for name, value in source.items() if not name.startswith(private)}
