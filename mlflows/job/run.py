"""The Run of a training script: ``Run.get_context()`` inside a job.

Everything it logs is one line in a file (see spool); it never opens a connection, so no server can slow or break the training.
What needs an answer asks through the mailbox.
"""

import json
import os
import time

from mlflows.job import here
from mlflows.job.answers import Answers

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

    from mlflows.job.here import Here  # noqa: F401

MAX_CHILDREN = 100

_CONTEXT = {}  # type: dict[str, _SubmittedRun]
_PLAIN = (float, int)
_LIMIT = 2.0**63


def get_context(allow_offline=True, **kwargs):
    # type: (bool, object) -> object
    """The run this process belongs to; outside a job an _OfflineRun.

    Raises:
        RunEnvironmentException: outside a job, with ``allow_offline=False``.
    """
    if here.inside():
        job = here.current()
        if job.folder not in _CONTEXT:
            _CONTEXT[job.folder] = _SubmittedRun(job)
        return _CONTEXT[job.folder]
    if not allow_offline:
        from mlflows.exceptions import RunEnvironmentException

        raise RunEnvironmentException()
    from mlflows.job.offline import _OfflineRun

    return _OfflineRun()


class Run(Answers):
    """A run as a script in a job sees it: its own, a child, or another run by id.

    Ranks other than 0 log nothing unless MLFLOWS_LOG_ALL_RANKS is 1; files are taken from every rank.
    """

    def __init__(self, experiment, run_id, outputs=None, **kwargs):
        # type: (object, str, object, object) -> None
        job = here.current()
        self._prepare(job, experiment, run_id, None if run_id == job.run_id else run_id)

    def _prepare(self, job, experiment, run_id, child_id):
        # type: (here.Here, Any, str, str | None) -> None
        super()._prepare(job, experiment, run_id, child_id)
        self._names = {}  # type: dict[str, str]
        self._fixed = ', "run": {}'.format(json.dumps(child_id)) if child_id else ""

    @classmethod
    def get_context(cls, allow_offline=True, used_for_context_manager=False, **kwargs):
        # type: (bool, bool, object) -> object
        """See get_context of this module."""
        return get_context(allow_offline)

    @classmethod
    def get_submitted_run(cls, **kwargs):
        # type: (object) -> object
        """The run of this job.

        Raises:
            RunEnvironmentException: outside a job.
        """
        return get_context(allow_offline=False)

    @staticmethod
    def get(workspace, run_id):
        # type: (object, str) -> Run
        """Another run of this job's workspace, by its id."""
        return Run(None, run_id)

    # metrics

    def log(self, name, value, description="", step=None):
        # type: (str, Any, str, Any) -> None
        """One value of a metric; the same name again makes a series.

        Args:
            value: number, string, bool or None; a numpy or torch scalar.

        Raises:
            UserErrorException: ``value`` is several values (use log_list), an integer wider than 64 bits, or ``step`` is no integer.
        """
        if type(value) not in _PLAIN or not -_LIMIT <= value < _LIMIT or type(step) not in (int, type(None)) or description:
            self._log_with_care(name, value, description, step)
        elif not self._job.spool.silent:
            key = self._names.get(name) or self._name(name)
            number = "null" if step is None else step
            body = (time.time() * 1000, key, value, number, self._fixed)
            self._job.spool.line(('{"t": %d, "e": "metric", "name": %s, "value": %r, "step": %s%s}\n' % body).encode("ascii"))

    def _name(self, name):
        # type: (str) -> str
        text = json.dumps(str(name))
        if len(self._names) < 10000:
            self._names[name] = text
        return text

    def _log_with_care(self, name, value, description, step):
        # type: (str, object, str, object) -> None
        from mlflows.job import values

        event = {"name": str(name), "value": values.scalar(name, value), "step": values.step_number(name, step)}
        if description:
            event["description"] = str(description)
        self._record("metric", **event)

    def log_list(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Several values at once; an empty list records nothing.

        Raises:
            UserErrorException: ``value`` is no list.
            AzureMLException: an element is no single value.
        """
        from mlflows.job import values

        checked = values.scalars(name, value)
        if checked:
            self._record("list", name=str(name), value=checked, **_described(description))

    def log_row(self, name, description=None, **kwargs):
        # type: (str, str | None, object) -> None
        """One row of a table, its columns as keywords."""
        from mlflows.job import values

        columns = {key: values.scalar("{}.{}".format(name, key), value) for key, value in kwargs.items()}
        self._record("row", name=str(name), columns=columns, **_described(description))

    def log_table(self, name, value, description=""):
        # type: (str, dict[str, Any], str) -> None
        """A whole table: ``{column: [values]}``.

        Raises:
            UserErrorException: not a dict, or columns of different lengths.
        """
        from mlflows.job import values

        self._record("table", name=str(name), value=values.table(name, value), **_described(description))

    def log_confusion_matrix(self, name, value, description=""):
        # type: (str, object, str) -> None
        """A confusion matrix: dict or JSON text with schema_type, schema_version and data.

        Raises:
            UserErrorException: it is something else.
        """
        self._document("confusion_matrix", name, value, description)

    def log_accuracy_table(self, name, value, description=""):
        # type: (str, object, str) -> None
        """An accuracy table, in the form of log_confusion_matrix."""
        self._document("accuracy_table", name, value, description)

    def log_residuals(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Residuals, in the form of log_confusion_matrix."""
        self._document("residuals", name, value, description)

    def log_predictions(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Predictions, in the form of log_confusion_matrix."""
        self._document("predictions", name, value, description)

    def _document(self, kind, name, value, description):
        # type: (str, str, object, str | None) -> None
        from mlflows.job import values

        self._record("json", name=str(name), kind=kind, value=values.document(name, value), **_described(description))

    def log_image(self, name, path=None, plot=None, description=""):
        # type: (str, str | None, object, str) -> None
        """A picture: a file, or a matplotlib figure (or pyplot), which is saved as ``<name>_<epoch seconds>.png``.

        Raises:
            AzureMLException: both or none of ``path`` and ``plot``; a file of no known image type.
            UserErrorException: no such file.
        """
        from mlflows.job import images

        images.check(name, path, plot)
        if not self._job.spool.silent:
            file = images.store(self._job.folder, self._child_id, self._id, name, path, plot)
            self._record("image", name=str(name), file=file, **_described(description))

    # files

    def upload_file(self, name, path_or_stream, datastore_name=None):
        # type: (str, Any, str | None) -> None
        """Keep a copy of a file, or of what a stream gives, as the run's file ``name``.

        Raises:
            UserErrorException: no such file, a name that leads out of the run, or the run has a file of that name.
        """
        from mlflows.exceptions import UserErrorException
        from mlflows.job import uploads

        if not hasattr(path_or_stream, "read") and os.path.isdir(path_or_stream):
            raise UserErrorException("{!r} is a directory: use run.upload_folder".format(os.fspath(path_or_stream)))
        uploads.upload(self._job, self._child_id, name, path_or_stream)

    def upload_folder(self, name, path, datastore_name=None):
        # type: (str, str, str | None) -> None
        """Every file below ``path``, as ``name/<relative path>``.

        Raises:
            UserErrorException: as upload_file; no such folder.
        """
        from mlflows.exceptions import UserErrorException
        from mlflows.job import uploads

        if not os.path.isdir(path):
            raise UserErrorException("Folder {!r} does not exist (working directory {})".format(os.fspath(path), os.getcwd()))
        uploads.upload(self._job, self._child_id, name, path)

    def upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None):
        # type: (list[str], list[str], bool, float | None, str | None) -> None
        """``paths[i]`` as ``names[i]``.

        Raises:
            TypeError: the lists differ in length.
            UserErrorException: as upload_file.
        """
        names, paths = list(names), list(paths)
        if len(names) != len(paths):
            raise TypeError("upload_files: {} names for {} paths".format(len(names), len(paths)))
        for number, name in enumerate(names):
            self.upload_file(name, paths[number])

    # tags and properties

    def tag(self, key, value=None):
        # type: (str, object) -> None
        """Set one tag; its value becomes a string."""
        text = None if value is None else str(value)
        self._record("tag", key=str(key), value=text)
        self._remember("tags", {str(key): text})

    def set_tags(self, tags):
        # type: (dict[str, Any]) -> None
        """Set several tags.

        Raises:
            UserErrorException: not a dict.
        """
        from mlflows.job import values

        checked = values.strings(tags, "tags")
        self._record("tags", tags=checked)
        self._remember("tags", checked)

    def remove_tags(self, tags):
        # type: (list[str] | str) -> None
        """Remove one tag or several."""
        keys = [tags] if isinstance(tags, str) else [str(key) for key in tags]
        self._record("untag", keys=keys)
        for key in keys:
            self._cached.get("tags", {}).pop(key, None)

    def add_properties(self, properties):
        # type: (dict[str, Any]) -> None
        """Add properties, each of which is written once.

        Raises:
            UserErrorException: not a dict, or a property that this script has given another value.
        """
        from mlflows.exceptions import UserErrorException
        from mlflows.job import values

        checked = values.strings(properties, "properties")
        known = self._cached.setdefault("own_properties", {})  # type: dict[str, str]
        for key, value in checked.items():
            if known.get(key, value) != value:
                raise UserErrorException("Property {!r} is {!r} already; properties cannot be changed, tags can".format(key, known[key]))
        known.update(checked)
        self._record("property", properties=checked)
        self._remember("properties", checked)

    def _remember(self, what, values):
        # type: (str, dict[str, Any]) -> None
        if what in self._cached:
            self._cached[what].update(values)

    @property
    def name(self):
        # type: () -> str
        """The display name, as in SDK v1."""
        return self.display_name

    @property
    def display_name(self):
        # type: () -> str
        """Name shown for the run."""
        return str(self._cached.get("display_name") or self._detail("displayName") or self._id)

    @display_name.setter
    def display_name(self, value):
        # type: (str) -> None
        self._cached["display_name"] = str(value)
        self._record("display_name", value=str(value))

    @property
    def description(self):
        # type: () -> Any
        """Description shown for the run."""
        return self._cached.get("description") or self._detail("description")

    @description.setter
    def description(self, value):
        # type: (str) -> None
        self._cached["description"] = str(value)
        self._record("description", value=str(value))

    # children

    def child_run(self, name=None, run_id=None, outputs=None):
        # type: (str | None, str | None, str | None) -> Run
        """Start a child run; its files come by upload_file, not from ``outputs``."""
        identifier = run_id or "{}_{}".format(self._id, os.urandom(4).hex())
        child = Run(self._experiment, identifier)
        child._parent = self
        if name:
            child._cached["display_name"] = name
        self._job.spool.event({"t": _now(), "e": "child", "run": identifier, "parent": self._id, "name": name})
        return child

    def create_children(self, count=None, tag_key=None, tag_values=None):
        # type: (int | None, str | None, list[Any] | None) -> list[Run]
        """Start ``count`` children, or one per tag value, tagged ``tag_key: value``.

        Raises:
            UserErrorException: more than 100; neither a count nor tag values; a tag key without values or the reverse; a count that
                differs from the number of values.
        """
        values = None if tag_values is None else list(tag_values)
        total = self._children_asked_for(count, tag_key, values)
        children = [self.child_run() for _ in range(total)]
        for number, value in enumerate(values or []):
            children[number].tag(str(tag_key), value)
        return children

    @staticmethod
    def _children_asked_for(count, tag_key, values):
        # type: (int | None, str | None, list[Any] | None) -> int
        from mlflows.exceptions import UserErrorException

        if (tag_key is None) != (values is None):
            raise UserErrorException("create_children: tag_key and tag_values belong together; give both or neither")
        if count is None and values is None:
            raise UserErrorException("create_children: give count, or tag_key and tag_values")
        if count is not None and values is not None and count != len(values):
            raise UserErrorException("create_children: count is {}, but there are {} tag_values".format(count, len(values)))
        total = len(values or []) if count is None else count
        if not 1 <= total <= MAX_CHILDREN:
            raise UserErrorException("create_children: {} children asked for; 1 to {} are possible".format(total, MAX_CHILDREN))
        return total

    def _other(self, run_id):
        # type: (str) -> Run
        return Run(self.experiment, run_id)

    # the end

    def start(self):
        # type: () -> None
        """Nothing to do: a run in a job has started."""

    def complete(self, _set_status=True):
        # type: (bool) -> None
        """Mark a child run Completed."""
        self._state = "Completed"
        self._record("complete")

    def fail(self, error_details=None, error_code=None, _set_status=True):
        # type: (object, str | None, bool) -> None
        """Mark a child run Failed; ``error_details`` may be an exception."""
        self._state = "Failed"
        self._record("fail", message=_error_text(error_details), code=error_code)

    def cancel(self):
        # type: () -> None
        """Mark a child run as stopped by the script."""
        self.fail("Canceled by the script", "Canceled")
        self._state = "Canceled"

    def __enter__(self):
        # type: () -> Run
        return self

    def __exit__(self, exit_type, value, traceback):
        # type: (object, BaseException | None, object) -> None
        if value is None:
            self.complete()
        else:
            self.fail(value)

    def __repr__(self):
        # type: () -> str
        return "Run(Experiment: {}, Id: {}, Type: {}, Status: {})".format(self.experiment.name, self.id, self.type, self.status)

    __str__ = __repr__

    def _record(self, _event, **fields):
        # type: (str, object) -> None
        event = {"t": _now(), "e": _event}
        event.update(fields)
        if self._child_id:
            event["run"] = self._child_id
        self._job.spool.event(event)


class _SubmittedRun(Run):
    """The run of this job. The exit code of the script decides how it ends."""

    def __init__(self, job):
        # type: (here.Here) -> None
        self._prepare(job, None, job.run_id, None)

    def complete(self):  # type: ignore[override]
        # type: () -> None
        """Say that the script is done. The status follows the exit code."""
        self._record("complete")

    def fail(self, error_details=None, error_code=None):  # type: ignore[override]
        # type: (object, str | None) -> None
        """Leave an error with the run. The status follows the exit code."""
        self._record("fail", message=_error_text(error_details), code=error_code)

    def cancel(self):
        # type: () -> None
        """Only a warning: a script cannot cancel the run it belongs to."""
        import sys

        sys.stderr.write("mlflows: run.cancel() inside the job has no effect; end the script to end the run\n")

    @property
    def input_datasets(self):
        # type: () -> object
        """Named inputs: the path of a mounted or downloaded one, the dataset of a direct one."""
        from mlflows.job.proxies import input_datasets

        return input_datasets()

    @property
    def output_datasets(self):
        # type: () -> object
        """Named outputs: the folder to write into."""
        from mlflows.job.proxies import output_datasets

        return output_datasets()


def _now():
    # type: () -> int
    return int(time.time() * 1000)


def _described(description):
    # type: (str | None) -> dict[str, Any]
    return {"description": str(description)} if description else {}


def _error_text(details):
    # type: (object) -> str | None
    if isinstance(details, BaseException):
        return "User program failed with {}: {}".format(type(details).__name__, getattr(details, "message", None) or details)
    return None if details is None else str(details)
