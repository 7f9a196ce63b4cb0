"""The half of the script-side Run that reads: what is known from the environment, and what the mailbox has to be asked for."""

import os
import sys

from mlflows.job import mailbox

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any, Iterator  # noqa: F401

    from mlflows.job.here import Here  # noqa: F401
    from mlflows.job.proxies import Model  # noqa: F401

_ELSEWHERE = {
    "submit_child": "run.child_run() starts a child inside the job; to start another job, submit it from a submit script",
    "wait_for_completion": "the run ends with this script; wait for it where it was submitted",
    "get_all_logs": "the logs of a run are complete only after it; read them where it was submitted",
    "get_details_with_logs": "the logs of a run are complete only after it; read them where it was submitted",
    "get_detailed_status": "use run.get_status()",
    "get_environment": "use run.get_details()['runDefinition']['environment']",
    "take_snapshot": "the code was stored when the run was submitted; use run.upload_folder for more",
    "restore_snapshot": "the code is in the working directory",
    "list": "list runs where they are submitted",
    "list_by_compute": "list runs where they are submitted",
    "add_type_provider": "register it where runs are submitted",
    "clean": "there is nothing to clean",
}


class Answers:
    """What a run knows and asks for."""

    def _prepare(self, job, experiment, run_id, child_id):
        # type: (Here, Any, str, str | None) -> None
        """In place of ``__init__``, whose arguments are those of SDK v1. ``child_id`` is None for the job's own run."""
        self._job = job
        self._experiment = experiment
        self._id = run_id
        self._child_id = child_id
        self._parent = None  # type: Any
        self._state = "Running"
        self._cached = {}  # type: dict[str, Any]

    def _other(self, run_id):
        # type: (str) -> Any
        """Another run by its id."""
        raise NotImplementedError

    @property
    def id(self):
        # type: () -> str
        """The run id."""
        return self._id

    _run_id = id  # SDK v1's attribute; scripts read it

    @property
    def type(self):
        # type: () -> str
        """``azureml.scriptrun``."""
        return "azureml.scriptrun"

    @property
    def number(self):
        # type: () -> Any
        """Which run of its experiment it is, in the order of their beginnings."""
        if "number" not in self._cached:
            self._cached["number"] = self._ask("get_number")
        return self._cached["number"]

    @property
    def status(self):
        # type: () -> str
        """As this process knows it; get_status asks."""
        return self._state

    @property
    def experiment(self):
        # type: () -> Any
        """The experiment; its ``workspace`` knows names and secrets."""
        if self._experiment is None:
            from mlflows.job.proxies import Experiment

            self._experiment = Experiment._of_job()
        return self._experiment

    @property
    def parent(self):
        # type: () -> Any
        """The parent run, or None."""
        if self._parent is None and self._child_id is None:
            parent_id = os.environ.get("MLFLOWS_PARENT_RUN_ID")
        elif self._parent is None:
            answer = self._ask("get_parent")
            parent_id = _identifier(answer) if answer else None
        else:
            return self._parent
        return self._other(parent_id) if parent_id else None

    @property
    def tags(self):
        # type: () -> dict[str, Any]
        """Tags as last read; get_tags reads them again."""
        if "tags" not in self._cached:
            self.get_tags()
        return dict(self._cached["tags"])

    @property
    def properties(self):
        # type: () -> dict[str, Any]
        """Properties as last read; get_properties reads them again."""
        if "properties" not in self._cached:
            self.get_properties()
        return dict(self._cached["properties"])

    def get_tags(self):
        # type: () -> dict[str, Any]
        """Tags of the run."""
        self._cached["tags"] = dict(self._ask("get_tags") or {})
        return dict(self._cached["tags"])

    def get_properties(self):
        # type: () -> dict[str, Any]
        """Properties of the run."""
        self._cached["properties"] = dict(self._ask("get_properties") or {})
        return dict(self._cached["properties"])

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        # type: (str | None, bool, str | None, bool) -> Any
        """Metrics logged so far: a value, a list for a series, a dict of lists for a table; recursive: per run id."""
        return self._ask("get_metrics", name=name, recursive=recursive)

    def get_details(self):
        # type: () -> dict[str, Any]
        """The run's details, as SDK v1 names them."""
        return dict(self._ask("get_details"))

    def get_status(self):
        # type: () -> str
        """The status, asked for."""
        self._state = str(self.get_details().get("status", self._state))
        return self._state

    def get_snapshot_id(self):
        # type: () -> str | None
        """Identifier of the code's snapshot."""
        return self.get_properties().get("ContentSnapshotId")

    def get_portal_url(self):
        # type: () -> str
        """Link to the run in MLflow's UI."""
        base = os.environ.get("AZUREML_SERVICE_ENDPOINT") or os.environ.get("MLFLOW_TRACKING_URI", "")
        experiment, run = os.environ.get("MLFLOW_EXPERIMENT_ID", ""), os.environ.get("MLFLOW_RUN_ID", "")
        return "{}/#/experiments/{}/runs/{}".format(base.rstrip("/"), experiment, run)

    def get_children(self, recursive=False, tags=None, properties=None, type=None, status=None, _rehydrate_runs=True):
        # type: (bool, object, object, str | None, str | None, bool) -> Iterator[Any]
        """Child runs, newest first."""
        asked = {"recursive": recursive, "tags": tags, "properties": properties, "type": type, "status": status}  # type: dict[str, Any]
        for answer in self._ask("get_children", **asked) or []:
            yield self._other(_identifier(answer))

    def get_file_names(self):
        # type: () -> list[str]
        """Names of the run's files so far."""
        return list(self._ask("get_file_names") or [])

    def download_file(self, name, output_file_path=None, _validate_checksum=False):
        # type: (str, str | None, bool) -> None
        """Fetch one of the run's files; an existing directory gets it under its own name.

        Raises:
            UserErrorException: no such file.
        """
        base = name.rpartition("/")[2]
        path = os.path.abspath(os.fspath(output_file_path or base))
        if os.path.isdir(path):
            path = os.path.join(path, base)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._ask("download_file", name=name, path=path)

    def download_files(
        self, prefix=None, output_directory=None, output_paths=None, batch_size=100, append_prefix=True, timeout_seconds=None
    ):
        # type: (str | None, str | None, list[str] | None, int, bool, float | None) -> None
        """Fetch the files whose names start with ``prefix``, into a directory or to ``output_paths`` in the order of the names."""
        prefix = prefix[2:] if prefix and prefix.startswith("./") else prefix
        names = [name for name in self.get_file_names() if name.startswith(prefix or "")]
        if output_paths is not None:
            for number, path in enumerate(output_paths):
                self.download_file(names[number], path)
            return
        for name in names:
            kept = name if append_prefix or not prefix else name[len(prefix) :].lstrip("/") or name.rpartition("/")[2]
            self.download_file(name, os.path.join(os.fspath(output_directory or "."), kept))

    def register_model(
        self,
        model_name,
        model_path=None,
        tags=None,
        properties=None,
        model_framework=None,
        model_framework_version=None,
        description=None,
        datasets=None,
        sample_input_dataset=None,
        sample_output_dataset=None,
        resource_configuration=None,
        **kwargs,
    ):
        # type: (str, str | None, Any, Any, str | None, str | None, str | None, Any, Any, Any, Any, object) -> Model
        """Register files of this run as a model; its name, version and id.

        Args:
            model_path: name of a file or folder among the run's files (``outputs/model.pkl``); default: ``model_name``.

        Raises:
            ModelPathNotFoundException: the run has no such file.
            WebserviceException: a bad name.
        """
        from mlflows.job.proxies import Model

        answer = self._ask(
            "register_model",
            model_name=model_name,
            model_path=os.fspath(model_path or model_name),
            tags=tags,
            properties=properties,
            model_framework=model_framework,
            model_framework_version=model_framework_version,
            description=description,
        )
        return Model._from_answer(answer)

    def get_secret(self, name):
        # type: (str) -> str
        """A secret of the workspace."""
        return str(self._ask("get_secret", name=name))

    def get_secrets(self, secrets):
        # type: (list[str]) -> dict[str, Any]
        """Several secrets: name -> value."""
        return dict(self._ask("get_secrets", names=list(secrets)))

    def flush(self, timeout_seconds=300):
        # type: (float) -> None
        """Wait until everything logged so far has reached the history; at the latest ``timeout_seconds``.

        Nothing is lost without it: what was logged is with the kernel when the call returns. So a history that does not answer in
        time is no error, only a line on stderr.
        """
        if self._job.spool.silent:
            return
        try:
            self._ask("flush", _timeout=timeout_seconds)
        except mailbox.NoAnswer as error:
            sys.stderr.write("mlflows: run.flush() gave up; nothing is lost by that. {}\n".format(error.message))

    def _ask(self, op, _timeout=None, **args):
        # type: (str, float | None, Any) -> Any
        return self._job.ask(op, self._id, _timeout, **args)

    def _detail(self, key):
        # type: (str) -> Any
        if "details" not in self._cached:
            self._cached["details"] = self.get_details()
        return self._cached["details"].get(key)

    def __getattr__(self, name):
        # type: (str) -> object
        remedy = _ELSEWHERE.get(name)
        if remedy:
            raise AttributeError("run.{} is not available inside a job: {}".format(name, remedy))
        raise AttributeError("{!r} object has no attribute {!r}".format(type(self).__name__, name))


def _identifier(answer):
    # type: (Any) -> str
    return str(answer if isinstance(answer, str) else answer.get("id") or answer["runId"])
