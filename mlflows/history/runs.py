"""Runs in MLflow: made once, found again by their ids."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflows.history import status
from mlflows.history import tags as names
from mlflows.history.tracking import MlflowRun, NotFound, Tracking
from mlflows.spec import JobSpec, looks_secret

SCRIPT_RUN = "azureml.scriptrun"
INTERACTIVE_RUN = "azureml.interactiverun"
REF_FILE = "run.json"
"""In a job folder: the run's RunRef."""


@dataclass(frozen=True)
class RunRef:
    """The names of one run: SDK v1's id, MLflow's ids, where its artifacts are."""

    run_id: str
    mlflow_run_id: str
    experiment_id: str
    experiment: str
    artifact_uri: str


def new_run_id(experiment: str) -> str:
    """``<experiment>_<epoch s>_<8 hex>``, as SDK v1 makes them."""
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", experiment).strip("-")[:64] or "run"
    return f"{slug}_{int(time.time())}_{os.urandom(4).hex()}"


def open_run(tracking: Tracking, spec: JobSpec, run_id: str, flow_run_id: str | None = None) -> RunRef:
    """The run of this id or flow run, made if there is none: a crash between making and remembering leaves no twin.

    Asking costs MLflow 50 ms: whoever has just made up ``run_id`` calls create_script_run instead.
    """
    experiment_id = tracking.experiment_id(spec.experiment)
    wanted = [(names.RUN_ID, run_id), (names.FLOW_RUN_ID, flow_run_id)]
    for key, value in wanted:
        found = next(tracking.search_runs([experiment_id], tag_filter({key: value}), most=1), None) if value else None
        if found is not None:
            return ref_of(found, spec.experiment)
    return create_script_run(tracking, spec, run_id, flow_run_id)


def create_script_run(
    tracking: Tracking, spec: JobSpec, run_id: str, flow_run_id: str | None = None, environment: Mapping[str, str] = os.environ
) -> RunRef:
    """Make the MLflow run of a JobSpec, for the person whose environment it is. Its status is NotStarted; its params come with the first
    batch of the collector."""
    tags = {**_spec_tags(spec), names.USER: user(environment), **({names.FLOW_RUN_ID: flow_run_id} if flow_run_id else {})}
    parent = find_run(tracking, spec.parent_run_id) if spec.parent_run_id else None
    return create(tracking, spec.experiment, run_id, spec.display_name, tags, parent.run_id if parent else None)


def create(
    tracking: Tracking,
    experiment: str,
    run_id: str,
    name: str | None = None,
    tags: Mapping[str, str] = {},
    parent: str | None = None,
    run_status: str = status.RunStatus.NOT_STARTED,
) -> RunRef:
    """Make an MLflow run with the tags that every run of ours has.

    Args:
        tracking: the MLflow server.
        experiment: exact name.
        run_id: SDK v1's id.
        name: shown name; the id if none.
        tags: further tags.
        parent: MLflow id of the parent run.
        run_status: its first status, NotStarted or Running.
    """
    own = {names.RUN_ID: run_id, names.STATUS: run_status, names.EXPERIMENT: experiment}
    if parent:
        own[names.PARENT_RUN_ID] = parent
    experiment_id = tracking.experiment_id(experiment)
    made = tracking.create_run(experiment_id, name or run_id, {names.USER: user(), **tags, **own}, int(time.time() * 1000))
    status.remember_status(tracking, made.run_id, run_status)
    return RunRef(run_id, made.run_id, experiment_id, experiment, made.artifact_uri)


def find_run(tracking: Tracking, run_id: str, experiment_ids: Sequence[str] = ()) -> MlflowRun | None:
    """The run with SDK v1's id (or MLflow's) ``run_id``, in the given experiments or in all."""
    if re.fullmatch(r"[0-9a-f]{32}", run_id):
        try:
            return tracking.get_run(run_id)
        except NotFound:
            return None
    if experiment_ids:
        return next(tracking.search_runs(experiment_ids, tag_filter({names.RUN_ID: run_id}), most=1), None)
    return next(search_all(tracking, {names.RUN_ID: run_id}), None)


def find_by_flow_run(tracking: Tracking, flow_run_id: str) -> MlflowRun | None:
    """The run that a Prefect flow run opened."""
    return next(search_all(tracking, {names.FLOW_RUN_ID: flow_run_id}), None)


def search_all(tracking: Tracking, wanted: Mapping[str, str | None]) -> Iterator[MlflowRun]:
    """Runs of all experiments that have these tags."""
    for ids in _experiment_pages(tracking):
        yield from tracking.search_runs(ids, tag_filter(wanted))


def ref_of(run: MlflowRun, experiment: str | None = None) -> RunRef:
    """The names of a run that the server told."""
    name = experiment or run.tags.get(names.EXPERIMENT, "")
    return RunRef(run.tags.get(names.RUN_ID, run.run_id), run.run_id, run.experiment_id, name, run.artifact_uri)


def children(tracking: Tracking, parent: MlflowRun, recursive: bool = False) -> Iterator[MlflowRun]:
    """Child runs, newest first; each before its own children."""
    for child in tracking.search_runs([parent.experiment_id], tag_filter({names.PARENT_RUN_ID: parent.run_id})):
        yield child
        if recursive:
            yield from children(tracking, child, True)


def number_of(tracking: Tracking, run: MlflowRun) -> int:
    """Which run of its experiment it is, in the order of their beginnings."""
    return sum(1 for _ in tracking.search_runs([run.experiment_id], f"attributes.start_time <= {run.start_ms}"))


def matches(
    run: MlflowRun,
    tags: str | Mapping[str, Any] | None = None,
    properties: str | Mapping[str, Any] | None = None,
    kind: str | None = None,
    run_status: str | None = None,
) -> bool:
    """Whether a run is what SDK v1's listing filters ask for: a key, or keys with values; a type; a status."""
    return (
        _has(names.user_tags(run.tags), tags)
        and _has(names.properties(run.tags), properties)
        and kind in (None, run.tags.get(names.TYPE))
        and run_status in (None, status.status_of(run.tags, run.status))
    )


def tag_filter(wanted: Mapping[str, str | None]) -> str:
    """MLflow's filter for runs that have all these tags (None: with any value)."""
    return " and ".join(f"tags.`{key}` {_condition(value)}" for key, value in wanted.items())


def remember(folder: Path, ref: RunRef) -> None:
    """Write the run's names into its job folder, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{REF_FILE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(asdict(ref)))
    temporary.replace(folder / REF_FILE)


def remembered(folder: Path) -> RunRef | None:
    """The run's names as its job folder has them, or None."""
    try:
        return RunRef(**json.loads((folder / REF_FILE).read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def params_of(spec: JobSpec) -> dict[str, str]:
    """The pairs ``--name value`` and ``--name=value`` among the arguments; a flag alone is ``True``; the last of a name wins.

    What is called a password, key or token is left out.
    """
    params: dict[str, str] = {}
    arguments = [str(argument) for argument in spec.arguments]
    for position, argument in enumerate(arguments):
        if not re.match(r"--?[A-Za-z_]", argument):
            continue
        name, equals, value = argument.lstrip("-").partition("=")
        if not equals:
            following = arguments[position + 1] if position + 1 < len(arguments) else None
            value = "True" if following is None or re.match(r"--?[A-Za-z_]", following) else following
        params[name] = value
    return {name: value for name, value in params.items() if not looks_secret(name)}


def user(environment: Mapping[str, str] = os.environ) -> str:
    """Name of the person, found as getpass does; in a container without a passwd entry the number of the user."""
    named = [environment[name] for name in ("LOGNAME", "USER", "LNAME", "USERNAME") if environment.get(name)]
    if named:
        return named[0]
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _spec_tags(spec: JobSpec) -> dict[str, str]:
    tags: dict[str, Any] = {
        **spec.tags,
        **{names.PROPERTY_PREFIX + key: value for key, value in spec.properties.items()},
        names.WORKSPACE: spec.workspace,
        names.TARGET: spec.compute_target,
        names.TYPE: SCRIPT_RUN,
        names.SOURCE_NAME: spec.script or spec.command or "",
        names.SOURCE_TYPE: "LOCAL",
    }
    if spec.snapshot:
        tags[names.SNAPSHOT_ID] = spec.snapshot
    commit = spec.properties.get("mlflow.source.git.commit")
    if commit:
        tags[names.GIT_COMMIT] = commit
    return {key: str(value) for key, value in tags.items()}


def _has(present: Mapping[str, str], wanted: str | Mapping[str, Any] | None) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return wanted in present
    return all(present.get(key) == str(value) for key, value in wanted.items())


def _experiment_pages(tracking: Tracking) -> Iterator[list[str]]:
    token = ""
    while True:
        body: dict[str, Any] = {"max_results": 1000, "view_type": "ACTIVE_ONLY"}
        answer = tracking.post("experiments/search", {**body, "page_token": token} if token else body)
        yield [str(experiment["experiment_id"]) for experiment in answer.get("experiments", [])]
        token = answer.get("next_page_token", "")
        if not token:
            return


def _condition(value: str | None) -> str:
    if value is None:
        return "LIKE '%'"
    quote = '"' if "'" in value else "'"
    return f"= {quote}{value}{quote}"
