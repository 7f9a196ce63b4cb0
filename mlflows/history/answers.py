"""What the history answers to a script's questions in its mailbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.history import describe, metrics, models, runs
from mlflows.history import tags as names
from mlflows.history.artifacts import Artifacts
from mlflows.history.ledger import MAIN
from mlflows.history.tracking import MlflowRun, NotFound
from mlflows.job import layout

if TYPE_CHECKING:
    from mlflows.history.collector import Collector

FLUSH_SECONDS = 300.0


class HistoryAnswers:
    """Answers for one job; what was logged before a question counts in its answer."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._tracking = collector.tracking

    def answer(self, operation: str, arguments: dict[str, Any], run_id: str | None) -> Any:
        """The JSON value of an answer.

        Raises:
            UserErrorException: an operation that nobody here knows.
            AzureMLException: the operation failed.
        """
        method = _OPERATIONS.get(operation)
        if method is None:
            raise UserErrorException(
                f"Operation {operation!r} is not available inside a job. Known here: {', '.join(sorted(_OPERATIONS))}."
            )
        return method(self, arguments, run_id or self._collector.ref.run_id)

    def _flush(self, arguments: dict[str, Any], run_id: str) -> None:
        self._flushed()

    def _get_metrics(self, arguments: dict[str, Any], run_id: str) -> dict[str, Any]:
        run = self._run(run_id)
        name = arguments.get("name")
        if not arguments.get("recursive"):
            return metrics.metrics_of(self._tracking, run, name)
        family = [run, *runs.children(self._tracking, run, recursive=True)]
        return {runs.ref_of(member).run_id: metrics.metrics_of(self._tracking, member, name) for member in family}

    def _get_tags(self, arguments: dict[str, Any], run_id: str) -> dict[str, str]:
        return names.user_tags(self._run(run_id).tags)

    def _get_properties(self, arguments: dict[str, Any], run_id: str) -> dict[str, str]:
        return describe.properties_of(self._run(run_id))

    def _get_details(self, arguments: dict[str, Any], run_id: str) -> dict[str, Any]:
        run = self._run(run_id)
        details = describe.details_of(run, describe.definition_of(self._tracking, run), describe.log_files(self._artifacts(run)))
        return {**details, "displayName": run.tags.get(names.RUN_NAME), "description": run.tags.get(names.NOTE)}

    def _get_number(self, arguments: dict[str, Any], run_id: str) -> int:
        return runs.number_of(self._tracking, self._run(run_id))

    def _get_file_names(self, arguments: dict[str, Any], run_id: str) -> list[str]:
        return describe.file_names(self._artifacts(self._run(run_id)))

    def _download_file(self, arguments: dict[str, Any], run_id: str) -> str:
        artifacts, name = self._artifacts(self._run(run_id)), str(arguments["name"])
        try:
            artifacts.download(describe.log_name(name), Path(arguments["path"]))
        except NotFound as error:
            raise UserErrorException(
                f"Run {run_id} has no file {name!r}. Its files: {', '.join(describe.file_names(artifacts)[:20]) or 'none'}."
            ) from error
        return str(arguments["path"])

    def _get_children(self, arguments: dict[str, Any], run_id: str) -> list[str]:
        wanted = [arguments.get(key) for key in ("tags", "properties", "type", "status")]
        family = runs.children(self._tracking, self._run(run_id), bool(arguments.get("recursive")))
        return [runs.ref_of(child).run_id for child in family if runs.matches(child, *wanted)]

    def _get_parent(self, arguments: dict[str, Any], run_id: str) -> str | None:
        parent = self._run(run_id).tags.get(names.PARENT_RUN_ID)
        return runs.ref_of(self._tracking.get_run(parent)).run_id if parent else None

    def _register_model(self, arguments: dict[str, Any], run_id: str) -> dict[str, Any]:
        """Files still in the job folder's outputs are uploaded first, so that they can be registered before the run ends."""
        run = self._run(run_id)
        models.check_name(str(arguments.get("model_name")))
        path = models.path_of(arguments["model_name"], arguments.get("model_path"))
        artifacts = self._artifacts(run)
        if not models.exists(artifacts, path):
            self._upload_from_code(artifacts, path)
        known = ("model_name", "model_path", "tags", "properties", "model_framework", "model_framework_version", "description")
        model = models.register(self._tracking, run, **{key: arguments[key] for key in known if key in arguments})
        return {**asdict(model), "id": model.id, "url": model.url}

    def _workspace(self, arguments: dict[str, Any], run_id: str) -> dict[str, str]:
        return {"name": self._collector.spec.workspace, "subscription_id": "local", "resource_group": "local", "location": "local"}

    # helpers

    def _flushed(self) -> None:
        if not self._collector.flush(FLUSH_SECONDS):
            raise ServiceException(
                f"What the script has logged did not reach the MLflow server at {self._tracking.uri} within {FLUSH_SECONDS:.0f} s; "
                "it is kept in the job folder and delivered when the server answers again"
            )

    def _run(self, run_id: str) -> MlflowRun:
        self._flushed()
        key = MAIN if run_id == self._collector.ref.run_id else run_id
        known = self._collector.delivery.refs.get(key)
        if known is not None:
            return self._tracking.get_run(known.mlflow_run_id)
        found = runs.find_run(self._tracking, run_id)
        if found is None:
            raise UserErrorException(f"There is no run {run_id!r}")
        return found

    def _artifacts(self, run: MlflowRun) -> Artifacts:
        return Artifacts(self._tracking, run.run_id, run.artifact_uri)

    def _upload_from_code(self, artifacts: Artifacts, path: str) -> None:
        code = self._collector.folder / layout.CODE
        root = code / path
        if ".." in Path(path).parts or path.split("/")[0] != layout.OUTPUTS:
            return
        for file in [root] if root.is_file() else sorted(root.rglob("*")):
            if file.is_file() and file.resolve().is_relative_to(code.resolve()):
                artifacts.upload(file, file.relative_to(code).as_posix())


_OPERATIONS: dict[str, Callable[[HistoryAnswers, dict[str, Any], str], Any]] = {
    "flush": HistoryAnswers._flush,
    "get_metrics": HistoryAnswers._get_metrics,
    "get_tags": HistoryAnswers._get_tags,
    "get_properties": HistoryAnswers._get_properties,
    "get_details": HistoryAnswers._get_details,
    "get_number": HistoryAnswers._get_number,
    "get_file_names": HistoryAnswers._get_file_names,
    "download_file": HistoryAnswers._download_file,
    "get_children": HistoryAnswers._get_children,
    "get_parent": HistoryAnswers._get_parent,
    "register_model": HistoryAnswers._register_model,
    "workspace": HistoryAnswers._workspace,
}
