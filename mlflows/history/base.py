"""What every part of the client-side Run stands on: its names, its server, its record there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflows.exceptions import UserErrorException
from mlflows.history import runs
from mlflows.history.artifacts import Artifacts
from mlflows.history.runs import RunRef
from mlflows.history.tracking import MlflowRun, Tracking

if TYPE_CHECKING:
    from mlflows.history.ledger import Ledger


class BaseRun:
    """A run in an experiment.

    ``experiment`` is any object with a ``name`` and a ``workspace``; of the workspace is asked ``_tracking()``, ``_experiment(name)``,
    and for a few calls more, which say so.
    """

    _experiment: Any
    _ref: RunRef
    _folder: Path | None
    """Job folder on this machine, where this process knows it."""
    _definition: dict[str, Any] | None
    _cached: MlflowRun | None
    _ledger: Ledger | None

    @property
    def id(self) -> str:
        """The run id."""
        return self._ref.run_id

    _run_id = id
    """SDK v1's attribute; scripts read it."""

    @property
    def experiment(self) -> Any:
        """The experiment of the run."""
        return self._experiment

    def _tracking(self) -> Tracking:
        tracking: Tracking = self._experiment.workspace._tracking()
        return tracking

    def _record(self) -> MlflowRun:
        """As last read."""
        return self._cached or self._refresh()

    def _refresh(self) -> MlflowRun:
        """As it is now."""
        self._cached = self._tracking().get_run(self._ref.mlflow_run_id)
        return self._cached

    def _artifacts(self) -> Artifacts:
        return Artifacts(self._tracking(), self._ref.mlflow_run_id, self._ref.artifact_uri)

    def _descendants(self, kind: str | None) -> Iterator[MlflowRun]:
        """All runs below it, of a type if one is given."""
        return (run for run in runs.children(self._tracking(), self._record(), True) if runs.matches(run, kind=kind))

    def _related(self, record: MlflowRun) -> Any:
        """Another run of this workspace as an object."""
        raise NotImplementedError


def look_up(experiment: Any, run_id: str) -> MlflowRun:
    """The record of a run of an experiment.

    Raises:
        UserErrorException: there is none.
    """
    tracking: Tracking = experiment.workspace._tracking()
    number = tracking.find_experiment(experiment.name)
    found = runs.find_run(tracking, run_id, [number]) if number else None
    if found is None:
        raise UserErrorException(f"There is no run {run_id!r} in experiment {experiment.name!r}")
    return found
