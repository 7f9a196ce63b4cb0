"""Experiment: what runs are submitted to."""

from __future__ import annotations

import copy
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from mlflows import git, settings
from mlflows.compute.targets import LOCAL, ComputeTarget
from mlflows.config.freeze import freeze, secrets_of
from mlflows.config.run_definition import run_definition
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.data import snapshot
from mlflows.data.ignore import NEVER_CODE
from mlflows.environments import credentials
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.exceptions import AzureMLException, UserErrorException
from mlflows.flows.handoff import Handoff
from mlflows.history import closing, display, runs
from mlflows.history.closing import Outcome
from mlflows.history.run import Run, ScriptRun
from mlflows.history.runs import RunRef
from mlflows.history.tracking import Tracking
from mlflows.rest import RestClient
from mlflows.spec import JobSpec

if TYPE_CHECKING:
    from _typeshed import StrPath

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-zA-Z0-9]([\w\- ]{0,253}[\w\-])?")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,254}", re.ASCII)
_IGNORED_OPTIONS = ("show_output", "credential_passthrough")
_ARCHIVED = "mlflows.archived"
_VIEWS = ("ActiveOnly", "ArchivedOnly", "All")


class WorkspaceLike(Protocol):
    """What an experiment needs of its workspace."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """Its targets."""

    def _servers(self) -> settings.Servers: ...

    def _tracking(self) -> Tracking: ...

    def _prefect(self) -> RestClient: ...


class Experiment:
    """Runs under one name. Made in MLflow when something is written to it, so making one here costs nothing.

    Args:
        workspace: the workspace.
        name: letters, digits, hyphens, underscores and spaces, up to 255; a letter or digit first.

    Raises:
        UserErrorException: a bad name; not a workspace.
    """

    _launch: ClassVar[Callable[[Experiment, JobSpec, str, bool, Mapping[str, str]], Any]]
    """What submit does with a valid JobSpec: start it, or, for ``mlflows render``, show it."""

    def __init__(
        self,
        workspace: WorkspaceLike,
        name: str,
        _skip_name_validation: bool = False,
        _id: str | None = None,
        _archived_time: Any = None,
        _create_in_cloud: bool = True,
        _experiment_dto: Any = None,
        **kwargs: Any,
    ) -> None:
        if not hasattr(workspace, "_tracking"):
            raise UserErrorException(
                f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config() or Workspace.get(name)."
            )
        if not isinstance(name, str) or not (_skip_name_validation or _NAME.fullmatch(name)):
            raise UserErrorException(
                f"name: {name!r} is not the name of an experiment. Use 1 to 255 letters, digits, hyphens, underscores and spaces; "
                "a letter or digit first, no space last."
            )
        self._workspace = workspace
        self._name = name
        self._id = _id

    @property
    def workspace(self) -> WorkspaceLike:
        """Its workspace."""
        return self._workspace

    workspace_object = workspace

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def id(self) -> str:
        """Its id in MLflow; made there if it is not yet."""
        if self._id is None:
            self._id = self._tracking().experiment_id(self._name)
        return self._id

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return {key: value for key, value in self._all_tags().items() if not key.startswith(("mlflow.", "mlflows."))}

    @property
    def archived_time(self) -> str | None:
        """When it was archived, in epoch milliseconds; None if it is not."""
        return self._all_tags().get(_ARCHIVED)

    def submit(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None, **kwargs: Any) -> ScriptRun:
        """Start a run and return at once; it goes on without this process.

        Args:
            config: what to run; it is not changed, so it can be submitted again.
            tags: tags of the run.
            run_id: its id; made up if none.
            show_output, credential_passthrough: accepted and not used.

        Raises:
            AzureMLException: ``config`` is of a kind that cannot be submitted. For what else can be wrong with it see freeze; all of it
                is found before anything is started.
            SnapshotException: the folder with the code cannot be stored.
            ExperimentExecutionException: the run could not be started; it is in the history as Failed, if the history was reached.
            TypeError: an unknown option.
        """
        return self._launch(*self._specified(config, tags, **kwargs))  # type: ignore[no-any-return]

    def render(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """What submit would start, as JSON values; nothing is started. Arguments and errors as in submit."""
        from mlflows.rendering import process_of  # a home imports asyncio, which a submit does without

        spec, run_id, *_ = self._specified(config, tags, **kwargs)
        return process_of(spec, run_id)

    def start_logging(
        self,
        outputs: StrPath | bool | None = None,
        snapshot_directory: StrPath | None = ".",
        name: str | None = None,
        run_id: str | None = None,
        display_name: str | None = None,
        **kwargs: Any,
    ) -> Run:
        """Start a run whose code is this process.

        Args:
            outputs: folder uploaded when the run ends, made if it is not there; ``outputs`` if none; False: nothing is uploaded.
            snapshot_directory: folder whose content is kept with the run; None: nothing is.
            name: name shown for the run.
            run_id: its id; made up if none.
            display_name: as ``name``, and stronger.

        Raises:
            SnapshotException: the folder cannot be stored.
            UserErrorException: a bad ``run_id``, or one that is taken.
        """
        identifier = _checked_run_id(run_id) or runs.new_run_id(self._name)
        if run_id:
            self._refuse_twin(run_id)
        # nobody runs this snapshot, so nobody misses what is left out of it
        taken = None if snapshot_directory is None else self._take_snapshot(snapshot_directory, tell=False)
        from mlflows import interactive

        return interactive.start(self, identifier, display_name or name, outputs, taken)

    def get_runs(
        self,
        type: str | None = None,
        tags: str | Mapping[str, str] | None = None,
        properties: str | Mapping[str, str] | None = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """Its runs, newest first, read as they are asked for.

        Args:
            type: only those of a type, such as ``azureml.scriptrun``.
            tags: only those with this tag, or with all these tags and values.
            properties: likewise.
            include_children: children too.
        """
        return Run.list(self, type=type, tags=tags, properties=properties, include_children=include_children)

    def tag(self, key: str, value: str | None = None) -> None:
        """Set one tag."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; the others stay."""
        if not isinstance(tags, Mapping):
            raise UserErrorException(f"tags: expected a dict of names and values, got {tags!r}.")
        for key, value in tags.items():
            _check_tag(key)
            self._set_tag(key, "" if value is None else str(value))

    def remove_tags(self, tags: list[str]) -> None:
        """Remove tags; those that are not there are no error."""
        for key in [tags] if isinstance(tags, str) else tags:
            _check_tag(key)
            if key in self.tags:
                self._tracking().post("experiments/delete-experiment-tag", {"experiment_id": self.id, "key": key})

    def archive(self) -> None:
        """Hide it from list; its runs stay, and more can be added."""
        self._set_tag(_ARCHIVED, str(int(time.time() * 1000)))

    def reactivate(self, new_name: str | None = None) -> None:
        """Undo archive.

        Raises:
            UserErrorException: a new name, which it cannot be given.
        """
        if new_name is not None:
            raise UserErrorException(f"new_name: {new_name!r}: an experiment keeps its name. Call reactivate() without one.")
        if self.archived_time is not None:
            self._tracking().post("experiments/delete-experiment-tag", {"experiment_id": self.id, "key": _ARCHIVED})

    def refresh(self) -> None:
        """Everything is read when it is asked for; there is nothing to refresh."""

    @staticmethod
    def list(
        workspace: WorkspaceLike,
        experiment_name: str | None = None,
        view_type: str = "ActiveOnly",
        tags: str | Mapping[str, str] | None = None,
    ) -> list[Experiment]:
        """The experiments of the MLflow server, newest first.

        Args:
            workspace: the workspace.
            experiment_name: only the one of this name.
            view_type: ``ActiveOnly``, ``ArchivedOnly`` or ``All``.
            tags: only those with this tag, or with all these tags and values.

        Raises:
            UserErrorException: a bad ``view_type`` or ``tags``.
        """
        Experiment(workspace, "list")  # checks the workspace
        view = getattr(view_type, "value", view_type)
        if view not in _VIEWS:
            raise UserErrorException(f"view_type: {view_type!r} is not one of {', '.join(_VIEWS)}.")
        wanted = _wanted(tags)
        return [
            Experiment(workspace, record["name"], True, _id=str(record["experiment_id"]))
            for record in _records(workspace._tracking())
            if experiment_name in (None, record["name"]) and _is_shown(_tags_of(record), view, wanted)
        ]

    @staticmethod
    def delete(workspace: WorkspaceLike, experiment_id: str) -> None:
        """Delete an experiment without runs.

        Raises:
            UserErrorException: it has runs.
        """
        tracking = workspace._tracking()
        for _ in tracking.search_runs([str(experiment_id)], most=1):
            raise UserErrorException(f"experiment_id: experiment {experiment_id} has runs. Delete them in MLflow first, or archive it.")
        tracking.post("experiments/delete", {"experiment_id": str(experiment_id)})

    def get_portal_url(self) -> str:
        """Its page in MLflow's UI."""
        return self._tracking().experiment_url(self.id)

    def __str__(self) -> str:
        return f"Experiment(Name: {self._name},\nWorkspace: {self._workspace.name})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks. The link is there once a server is known: showing an object must not start one."""
        known = getattr(self._workspace, "_known_servers", None) is not None
        link = display.link(self.get_portal_url(), "Link to MLflow") if known else ""
        cells = (display.escape(self._name), display.escape(self._workspace.name), link)
        head = "".join(f"<th>{title}</th>" for title in ("Name", "Workspace", "Report Page"))
        return f"<table><tr>{head}</tr><tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr></table>"

    def _specified(
        self,
        config: Any,
        tags: Mapping[str, str] | None,
        run_id: str | None = None,
        _parent_run_id: str | None = None,
        **options: Any,
    ) -> tuple[JobSpec, str, bool, Mapping[str, str]]:
        """What is to be started, its id, whether somebody chose that id (one made up needs no asking whether it is taken), and the values
        of secrets that are references in what is to be started."""
        unknown = [name for name in options if name not in _IGNORED_OPTIONS]
        if unknown:
            raise TypeError(f"submit() got an unexpected keyword argument {unknown[0]!r}")
        if not isinstance(config, ScriptRunConfig):
            raise AzureMLException(f"config: a {type(config).__name__} cannot be submitted, only a ScriptRunConfig can: {config!r}.")
        identifier = _checked_run_id(run_id) or runs.new_run_id(self._name)
        spec = _frozen(config, self._workspace, self._name, tags)
        return spec.replace(parent_run_id=_parent_run_id), identifier, run_id is not None, secrets_of(config)

    def _start(self, spec: JobSpec, run_id: str, chosen_id: bool = False, secrets: Mapping[str, str] = {}) -> ScriptRun:
        if chosen_id:
            self._refuse_twin(run_id)
        servers = self._workspace._servers()
        if secrets:
            credentials.store(self._workspace._prefect(), secrets)
        if spec.snapshot_project:
            taken = self._take_snapshot(spec.source_directory)
            spec = spec.replace(snapshot=taken, properties={**spec.properties, "ContentSnapshotId": taken})
        spec = spec.replace(properties={**spec.properties, **git.properties(spec.source_directory)})
        with Handoff(spec, run_id, servers) as handoff:
            ref = handoff.history() or self._made(spec, run_id)
            try:
                flow_run_id = handoff.go()
            except Exception as error:
                message = error.message if isinstance(error, AzureMLException) else f"{type(error).__name__}: {error}"
                closing.close(self._tracking(), ref, Outcome("Failed", {"code": "SystemError", "message": message}))
                raise
        known = {"_ref": ref, "_folder": settings.job_folder(run_id), "_definition": run_definition(spec), "_flow_run_id": flow_run_id}
        return ScriptRun(self, run_id, spec.source_directory, **known)

    def _refuse_twin(self, run_id: str) -> None:
        if runs.find_run(self._tracking(), run_id) is not None:
            raise UserErrorException(f"run_id: there is a run {run_id!r} already. Choose another id, or leave it out.")

    def _made(self, spec: JobSpec, run_id: str) -> RunRef:
        # looked for first: whoever was to make it may have done so and died
        ref = runs.open_run(self._tracking(), spec, run_id)
        runs.remember(settings.job_folder(run_id), ref)
        return ref

    _launch = _start

    def _take_snapshot(self, folder: StrPath, tell: bool = True) -> str:
        taken = snapshot.take(Path(folder), snapshot.store_of(self._workspace.name), progress=_say)
        if tell:
            _tell_left_out(taken)
        return taken.id

    def _tracking(self) -> Tracking:
        return self._workspace._tracking()

    def _all_tags(self) -> dict[str, str]:
        return _tags_of(self._tracking().get("experiments/get", {"experiment_id": self.id})["experiment"])

    def _set_tag(self, key: str, value: str) -> None:
        self._tracking().post("experiments/set-experiment-tag", {"experiment_id": self.id, "key": key, "value": value})


def _frozen(config: ScriptRunConfig, workspace: WorkspaceLike, experiment: str, tags: Mapping[str, str] | None) -> JobSpec:
    """A target that is a name for this machine is checked as ``local`` is, and keeps its name."""
    targets = workspace.compute_targets
    named = getattr(config.run_config, "target", LOCAL)
    if named in targets and named != LOCAL:
        config = copy.copy(config)
        config.run_config = copy.copy(config.run_config)
        config.run_config.target = LOCAL
    else:
        named = None

    def find(reference: EnvironmentReference) -> Environment:
        try:
            return reference.get_environment(workspace)
        except AzureMLException:
            raise
        except Exception as error:  # SDK v1's, for an environment that is not there
            raise UserErrorException(f"environment: {reference.name!r}: {error}") from error

    spec = freeze(
        config,
        workspace=workspace.name,
        experiment=experiment,
        tags=tags,
        compute_targets=targets,
        find_environment=find,
        lookup=workspace,
    )
    return spec.replace(compute_target=named) if named else spec


def _checked_run_id(run_id: str | None) -> str | None:
    """It becomes the name of a folder."""
    if run_id is not None and (not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id)):
        raise UserErrorException(
            f"run_id: {run_id!r} is not the id of a run. Use 1 to 255 letters, digits, hyphens and underscores; a letter or digit first."
        )
    return run_id


def _check_tag(key: Any) -> None:
    if not isinstance(key, str) or not key or key.startswith(("mlflow.", "mlflows.")):
        raise UserErrorException(f"tags: {key!r} cannot be the name of a tag. Use a string that does not begin with mlflow. or mlflows.")


def _wanted(tags: Any) -> dict[str, str | None]:
    if tags is None:
        return {}
    if isinstance(tags, str):
        return {tags: None}
    if not isinstance(tags, Mapping):
        raise UserErrorException(f"tags: expected a name or a dict of names and values, got {tags!r}.")
    return dict(tags)


def _is_shown(tags: Mapping[str, str], view: str, wanted: Mapping[str, str | None]) -> bool:
    archived = _ARCHIVED in tags
    if view != "All" and archived != (view == "ArchivedOnly"):
        return False
    return all(key in tags and value in (None, tags[key]) for key, value in wanted.items())


def _records(tracking: Tracking) -> Iterator[dict[str, Any]]:
    body: dict[str, Any] = {"max_results": 1000, "view_type": "ACTIVE_ONLY"}
    while True:
        answer = tracking.post("experiments/search", body)
        yield from answer.get("experiments", [])
        if not answer.get("next_page_token"):
            return
        body = {**body, "page_token": answer["next_page_token"]}


def _tags_of(record: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in record.get("tags", [])}


def _tell_left_out(taken: snapshot.Snapshot) -> None:
    """Caches are nobody's business; anything else a script might miss."""
    if taken.excluded or taken.skipped:
        logger.info("Left out of the snapshot: %s", ", ".join((*taken.excluded, *taken.skipped)))
    worth_telling = [path for path in taken.excluded if path.rstrip("/").rpartition("/")[2] not in NEVER_CODE and not path.endswith(".pyc")]
    if worth_telling or taken.skipped:
        _say(f"left out of the snapshot: {', '.join((*worth_telling, *taken.skipped))} (a .amlignore in the folder says otherwise)")


def _say(line: str) -> None:
    print(f"mlflows: {line}", file=sys.stderr, flush=True)
