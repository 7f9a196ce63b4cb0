"""Run and ScriptRun as a submitting process sees them: a run's record is MLflow's, its end is waited for here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflows.exceptions import ActivityFailedException, ExperimentExecutionException, UserErrorException
from mlflows.history import closing, describe, display, runs, status
from mlflows.history import tags as names
from mlflows.history.base import look_up
from mlflows.history.closing import Outcome
from mlflows.history.files import Files
from mlflows.history.log_calls import LogCalls
from mlflows.history.runs import RunRef
from mlflows.history.status import RunStatus
from mlflows.history.tracking import MlflowRun, Tracking, TrackingUnreachable
from mlflows.history.tree import Tree
from mlflows.job import layout
from mlflows.rest import RestError, Unreachable

if TYPE_CHECKING:
    from mlflows.history.models import RegisteredModel

_PROVIDERS: dict[str, Callable[..., Any]] = {}


class Run(LogCalls, Files, Tree):
    """A run of an experiment.

    Args:
        experiment: it has a ``name`` and a ``workspace``.
        run_id: SDK v1's id, or MLflow's.
        outputs: kept for compatibility.
        **kwargs: ``_ref``, ``_folder``, ``_definition``, ``_flow_run_id``, ``_record``: what the maker of the object knows already and
            need not be asked for.

    Raises:
        UserErrorException: the experiment has no such run.
    """

    def __init__(self, experiment: Any, run_id: str, outputs: str | None = None, **kwargs: Any) -> None:
        if not isinstance(run_id, str) or not run_id:
            raise UserErrorException(f"run_id must be the id of a run, not {run_id!r}")
        self._experiment = experiment
        self._cached: MlflowRun | None = kwargs.get("_record")
        self._folder: Path | None = kwargs.get("_folder")
        self._definition: dict[str, Any] | None = kwargs.get("_definition")
        self._flow_run_id: str | None = kwargs.get("_flow_run_id")
        self._ledger = None
        ref: RunRef | None = kwargs.get("_ref")
        if ref is None:
            self._cached = self._cached or look_up(experiment, run_id)
            ref = runs.ref_of(self._cached, experiment.name)
        self._ref = ref

    # finding runs

    @classmethod
    def get_context(cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: Any) -> Any:
        """The run this process belongs to; outside a job one that prints what it would log.

        Raises:
            RunEnvironmentException: outside a job, with ``allow_offline=False``.
        """
        from mlflows.job.run import get_context  # a submit script has no use for it

        return get_context(allow_offline)

    @classmethod
    def get_submitted_run(cls, **kwargs: Any) -> Any:
        """The run of this job.

        Raises:
            RunEnvironmentException: outside a job.
        """
        return cls.get_context(allow_offline=False)

    @staticmethod
    def get(workspace: Any, run_id: str) -> Any:
        """A run of a workspace by its id, as an object of its type.

        Raises:
            UserErrorException: there is none.
        """
        found = runs.find_run(workspace._tracking(), run_id)
        if found is None:
            raise UserErrorException(f"There is no run {run_id!r} at {workspace._tracking().uri}")
        return run_of(workspace._experiment(found.tags.get(names.EXPERIMENT, "")), found)

    @staticmethod
    def list(
        experiment: Any,
        type: str | None = None,
        tags: str | Mapping[str, Any] | None = None,
        properties: str | Mapping[str, Any] | None = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """Runs of an experiment, newest first, that have all that is asked for; read as they are used.

        Args:
            experiment: whose runs.
            type: ``azureml.scriptrun`` or another.
            tags: a key, or keys with values.
            properties: a key, or keys with values.
            status: one of RunStatus.
            include_children: child runs, too.
        """
        tracking: Tracking = experiment.workspace._tracking()
        number = tracking.find_experiment(experiment.name)
        for record in tracking.search_runs([number]) if number else ():
            if (include_children or names.PARENT_RUN_ID not in record.tags) and runs.matches(record, tags, properties, type, status):
                yield run_of(experiment, record)

    @staticmethod
    def list_by_compute(
        compute: Any,
        type: str | None = None,
        tags: str | Mapping[str, Any] | None = None,
        properties: str | Mapping[str, Any] | None = None,
        status: str | None = None,
    ) -> Iterator[Run]:
        """Runs of a compute target, in all experiments of its workspace."""
        workspace = compute.workspace
        for record in runs.search_all(workspace._tracking(), {names.TARGET: compute.name}):
            if runs.matches(record, tags, properties, type, status):
                yield run_of(workspace._experiment(record.tags.get(names.EXPERIMENT, "")), record)

    @staticmethod
    def add_type_provider(runtype: str, run_factory: Callable[..., Any]) -> None:
        """Objects of runs of type ``runtype`` are made by ``run_factory(experiment, run_id)``.

        Raises:
            ValueError: the factory cannot be called.
        """
        if not callable(run_factory):
            raise ValueError(f"run_factory for type {runtype!r} must be callable, not {run_factory!r}")
        _PROVIDERS[runtype] = run_factory

    # what is known of it

    @property
    def name(self) -> str:
        """The display name."""
        return self.display_name

    @property
    def type(self) -> str | None:
        """``azureml.scriptrun`` for a submitted script."""
        return self._record().tags.get(names.TYPE)

    @property
    def number(self) -> int:
        """Which run of its experiment it is, in the order of their beginnings."""
        return runs.number_of(self._tracking(), self._record())

    @property
    def status(self) -> str:
        """As last read; get_status asks."""
        record = self._record()
        return status.status_of(record.tags, record.status)

    def get_status(self) -> str:
        """The status now."""
        self._refresh()
        return self.status

    def get_detailed_status(self) -> dict[str, Any]:
        """The status now, and the message of an error."""
        record = self._refresh()
        error = describe.error_of(record)
        return {"status": self.status, "details": error["message"] if error else ""}

    def get_details(self) -> dict[str, Any]:
        """What the history knows, under SDK v1's names; ``logFiles`` are addresses that open."""
        return self._details(self._refresh(), describe.log_files(self._artifacts()))

    def get_details_with_logs(self) -> dict[str, Any]:
        """As get_details, with the contents of the logs."""
        details = self.get_details()
        artifacts = self._artifacts()
        contents = {name: artifacts.read(name).decode("utf-8", "replace") for name in details["logFiles"]}
        return {**details, "logFiles": contents}

    def get_environment(self) -> Any:
        """The Environment of the run's definition, made by its workspace, with the version under which it is registered.

        Raises:
            UserErrorException: no definition was stored with the run.
        """
        definition = self._run_definition().get("environment")
        if not definition:
            raise UserErrorException(f"Run {self.id} has no run definition, so its environment is not known")
        record = self._record()
        if names.ENVIRONMENT_VERSION not in record.tags and not definition.get("version"):
            record = self._refresh()  # it is registered while the run begins
        version = record.tags.get(names.ENVIRONMENT_VERSION) or definition.get("version")
        return self._experiment.workspace._environment({**definition, "version": version} if version else definition)

    def get_portal_url(self) -> str:
        """The run's page in MLflow's UI."""
        return self._tracking().run_url(self._ref.experiment_id, self._ref.mlflow_run_id)

    def get_snapshot_id(self) -> str | None:
        """Identifier of the code's snapshot."""
        return self._record().tags.get(names.SNAPSHOT_ID)

    def restore_snapshot(self, snapshot_id: str | None = None, path: str | None = None) -> str:
        """Write the run's code to a folder; its path. The workspace has the snapshots.

        Raises:
            UserErrorException: the run has no snapshot.
        """
        snapshot = snapshot_id or self.get_snapshot_id()
        if not snapshot:
            raise UserErrorException(f"Run {self.id} has no snapshot")
        return str(self._experiment.workspace._restore_snapshot(snapshot, path or "."))

    def take_snapshot(self, file_or_folder_path: str) -> str:
        """Store code with the run; the snapshot's identifier. The workspace has the snapshots."""
        snapshot = str(self._experiment.workspace._take_snapshot(file_or_folder_path))
        self._write_tags({names.SNAPSHOT_ID: snapshot})
        return snapshot

    def get_secret(self, name: str) -> str:
        """A secret of the workspace's key vault."""
        return self._experiment.workspace.get_default_keyvault().get_secret(name)  # type: ignore[no-any-return]

    def get_secrets(self, secrets: Any) -> dict[str, str]:
        """Several secrets: name -> value."""
        return self._experiment.workspace.get_default_keyvault().get_secrets(secrets)  # type: ignore[no-any-return]

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **kwargs: Any,
    ) -> RegisteredModel:
        """Register files of this run as a new version of a model.

        Args:
            model_name: letters, digits, ``-``, ``.`` and ``_``.
            model_path: file or folder among the run's files (``outputs/model.pkl``); the name if none.

        Raises:
            ModelPathNotFoundException: the run has no such file.
            WebserviceException: a bad name.
        """
        details = (tags, properties, model_framework, model_framework_version, description)
        from mlflows.history import models

        return models.register(self._tracking(), self._record(), model_name, model_path, *details)

    # its life

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> dict[str, Any]:
        """Wait until the run has ended and everything of it is in the history; its details.

        Args:
            show_output: print its log while it runs.
            wait_post_processing: kept for compatibility: it is always waited for.
            raise_on_error: raise if it failed.

        Raises:
            ActivityFailedException: it failed; the message has the exit code, the traceback, the last lines and the log's path.
            ExperimentExecutionException: interrupted with Ctrl-C; the run goes on.
        """
        from mlflows.history import streaming  # needed only here

        url = self.get_portal_url()
        if show_output:
            print(streaming.header(self.id, url, self._flow_page()), flush=True)
        try:
            self._cached = streaming.follow(self._tracking(), self._ref.mlflow_run_id, self._artifacts(), self._folder, show_output)
        except KeyboardInterrupt as error:
            raise ExperimentExecutionException(
                f"Waiting for run {self.id} was interrupted; the run continues. Stop it with run.cancel(), see it at {url}"
            ) from error
        return self._ended(url, show_output, raise_on_error)

    def start(self) -> None:
        """The run is Running."""
        status.set_status(self._tracking(), self._ref, RunStatus.RUNNING)
        self._cached = None

    def complete(self, _set_status: bool = True) -> None:
        """The run is Completed; of a run that has ended nothing changes."""
        self._close(Outcome(RunStatus.COMPLETED), _set_status)

    def fail(self, error_details: Any = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """The run is Failed, with a message or an exception; of a run that has ended nothing changes."""
        self._close(Outcome(RunStatus.FAILED, _error_from(error_details, error_code)), _set_status)

    def cancel(self) -> None:
        """Ask for the run's end; it is Canceled when everything of it has stopped. A run that has ended is said to have ended."""
        record = self._refresh()
        if self.status in status.TERMINAL:
            print(f"Run {self.id} has ended already: {self.status}")
            return
        flow_run = self._flow_run_id or record.tags.get(names.FLOW_RUN_ID) or self._flow_run_of_this_name()
        if not flow_run:
            self._close(Outcome(RunStatus.CANCELED), True)
            return
        # first the word, then the deed: the flow may close the run before a later word arrives
        status.set_status(self._tracking(), self._ref, RunStatus.CANCEL_REQUESTED)
        self._cancel_flow(flow_run)
        self._cached = None

    def clean(self) -> Any:
        """Nothing is left behind by a run: an empty list."""
        return []

    def __enter__(self) -> Run:
        return self

    def __exit__(self, exit_type: Any, value: BaseException | None, traceback: Any) -> None:
        self.complete() if value is None else self.fail(value)

    def __repr__(self) -> str:
        return display.as_text(self._ref.experiment, self.id, self.type, self.status)

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        tracking = self._tracking()
        page = tracking.experiment_url(self._ref.experiment_id)
        flow = self._flow_page()
        return display.as_html(self._ref.experiment, page, self.id, self.type, self.status, self.get_portal_url(), flow)

    # helpers

    def _flow_page(self) -> str | None:
        """Its flow run's page in Prefect's UI; None if no flow runs it."""
        if self._flow_run_id:
            return f"{self._experiment.workspace._servers().prefect_ui_url}/runs/flow-run/{self._flow_run_id}"
        return self._record().tags.get(names.PREFECT_URL)

    def _related(self, record: MlflowRun) -> Any:
        return run_of(self._experiment, record)

    def _run_definition(self) -> dict[str, Any]:
        if self._definition is None:
            self._definition = describe.definition_of(self._tracking(), self._record())
        return self._definition

    def _details(self, record: MlflowRun, log_files: dict[str, str]) -> dict[str, Any]:
        return describe.details_of(record, self._run_definition(), log_files)

    def _ended(self, url: str, show: bool, raise_on_error: bool) -> dict[str, Any]:
        from mlflows.history import streaming

        record = self._record()
        folder = self._folder or streaming.local_folder(record)
        details = self._details(record, self._log_links(folder))
        if show:
            print(f"\nExecution Summary\n=================\n{streaming.header(self.id, url, self._flow_page())}", flush=True)
        if self.status != RunStatus.FAILED:
            return details
        log = streaming.log_in(folder) if folder else None
        report = streaming.failure(details["error"]["error"], log, url)
        if raise_on_error:
            raise ActivityFailedException(report)
        if show:
            print(f"Error:\n{report}\n", flush=True)
        return details

    def _log_links(self, folder: Path | None) -> dict[str, str]:
        """Of a run of this machine the folder has the names of the logs; MLflow need not be asked."""
        if folder is None:
            return describe.log_files(self._artifacts())
        found = [f"{name}/{log}" for name in (layout.BUILD_LOGS, layout.USER_LOGS) for log in _names_in(folder / name)]
        found += [f"{layout.SYSTEM_LOGS}/{name}" for name in _names_in(folder / layout.SYSTEM_LOGS) if name.endswith((".log", ".txt"))]
        return describe.links(self._artifacts(), found)

    def _close(self, outcome: Outcome, set_status: bool) -> None:
        self._save_shapes()
        if set_status:
            closing.close(self._tracking(), self._ref, outcome)
            self._cached = None

    def _flow_run_of_this_name(self) -> str | None:
        """A script's run that has not begun does not know its flow run yet; the flow run has its name."""
        if self.type != runs.SCRIPT_RUN:
            return None
        found = self._ask_prefect("/flow_runs/filter", {"flow_runs": {"name": {"any_": [self.id]}}, "limit": 1})
        return str(found[0]["id"]) if found else None

    def _cancel_flow(self, flow_run: str) -> None:
        self._ask_prefect(f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}, "force": False})

    def _ask_prefect(self, path: str, body: dict[str, Any]) -> Any:
        prefect = self._experiment.workspace._prefect()
        try:
            return prefect.post(path, body)
        except Unreachable as error:
            raise TrackingUnreachable(
                f"No answer from the Prefect server at {prefect.base_url} ({error}). Start the local services with `mlflows up`, "
                "or check PREFECT_API_URL."
            ) from error
        except RestError as error:
            raise ExperimentExecutionException(f"Run {self.id} could not be canceled: {error}") from error


class ScriptRun(Run):
    """A submitted script.

    Args:
        experiment: it has a ``name`` and a ``workspace``.
        run_id: SDK v1's id.
        directory: the source directory it was submitted from.
        _run_config: the configuration it was submitted with.
        **kwargs: as Run.
    """

    def __init__(self, experiment: Any, run_id: str, directory: str | None = None, _run_config: Any = None, **kwargs: Any) -> None:
        super().__init__(experiment, run_id, **kwargs)
        self._directory = directory
        self._run_config_object = _run_config


def run_of(experiment: Any, record: MlflowRun) -> Any:
    """The object of a run that MLflow told of: of the class that its type asks for."""
    kind = record.tags.get(names.TYPE)
    provider = _PROVIDERS.get(kind or "")
    if provider is not None:
        return provider(experiment, record.tags.get(names.RUN_ID, record.run_id))
    made = ScriptRun if kind == runs.SCRIPT_RUN else Run
    ref = runs.ref_of(record, getattr(experiment, "name", None))
    return made(experiment, ref.run_id, _ref=ref, _record=record)


def _error_from(details: Any, code: str | None) -> dict[str, Any]:
    """An exception becomes SDK v1's sentence."""
    if isinstance(details, BaseException):
        message = f"User program failed with {type(details).__name__}: {details}"
    else:
        message = str(details) if details else "The run was failed by run.fail()"
    return {"code": code or "UserError", "message": message}


def _names_in(folder: Path) -> Any:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError:
        return []
