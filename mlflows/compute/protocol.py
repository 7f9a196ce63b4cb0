"""The contract between the flow and a home. A home is a place that runs a Launch: local processes, containers, pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlflows.spec import JobSpec


@dataclass(frozen=True)
class Launch:
    """All that a home gets: the specification with everything resolved that was still open in it.

    ``variables`` are the script's environment variables; a value may be a secret's reference, which only ``start`` resolves.
    ``snapshot_store`` is the folder from which the code comes. ``links``: paths at which the script wants to see folders of this machine,
    absolute or relative to its working directory.
    """

    spec: JobSpec
    run_id: str
    attempt: int
    folder: Path
    interpreter: str
    snapshot_store: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a job ended. ``status`` is the supervisor's status.json; None if the supervisor was lost before it wrote one."""

    status: Mapping[str, Any] | None
    message: str = ""


class Home(Protocol):
    """Every home keeps this contract; ``tests/contract`` holds it against each.

    A handle is a string: following and stopping work from it alone, in any process.
    """

    def render(self, launch: Launch) -> dict[str, Any]:
        """What ``start`` would send, as JSON, without sending it; secrets stay references."""

    async def start(self, launch: Launch, environment: Mapping[str, str]) -> str:
        """Start the launch, or adopt it if it is there already; the handle.

        Args:
            launch: what to start.
            environment: variables on top of the home's own, secrets in the clear; they appear in no file, label or command line.
        """

    async def wait(self, handle: str) -> Ended:
        """Return when the job has ended; whoever started it."""

    async def stop(self, handle: str, reason: str) -> None:
        """End the job: SIGTERM, grace, SIGKILL. Returns when nothing of it runs any more."""

    def find(self, run_id: str, attempt: int) -> str | None:
        """The handle of a run that is there, whether it goes on or has ended; else None."""
