"""The run of a script that is not in a job: it prints what would have been logged.

It is not a Run, and lacks what SDK v1's lacks (experiment, parent, input_datasets, get_metrics, register_model, tags, ...): scripts ask
``hasattr(run, "experiment")`` or ``run.id.startswith("OfflineRun")`` to find out where they are.
"""

import uuid

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401


class _OfflineRun:
    def __init__(self, parent_logger=None, run_id=None, **kwargs):
        # type: (object, str | None, object) -> None
        self._id = run_id or "OfflineRun_{}".format(uuid.uuid4())

    @property
    def id(self):
        # type: () -> str
        """``OfflineRun_<uuid>``."""
        return self._id

    _run_id = id  # SDK v1's attribute; scripts read it

    def log(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Print one value."""
        _attempted("log scalar metric {}".format(name), value)

    def log_list(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Print a list."""
        _attempted("log list metric {}".format(name), value)

    def log_table(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Print a table."""
        _attempted("log table metric {}".format(name), value)

    def log_row(self, name, description=None, **kwargs):
        # type: (str, str | None, object) -> None
        """Print a row."""
        _attempted("log row metric {}".format(name), kwargs)

    def log_image(self, name, path=None, plot=None, description=""):
        # type: (str, str | None, object, str) -> None
        """Print the name of a picture."""
        _attempted("log image {}".format(name), path if path is not None else plot)

    def log_residuals(self, name, value, description=None):
        # type: (str, object, str | None) -> None
        """Print residuals."""
        _attempted("log residuals {}".format(name), value)

    def log_predictions(self, name, value, description=None):
        # type: (str, object, str | None) -> None
        """Print predictions."""
        _attempted("log predictions {}".format(name), value)

    def log_accuracy_table(self, name, value, description=None):
        # type: (str, object, str | None) -> None
        """Print an accuracy table."""
        _attempted("log accuracy table {}".format(name), value)

    def log_confusion_matrix(self, name, value, description=None):
        # type: (str, object, str | None) -> None
        """Print a confusion matrix."""
        _attempted("log confusion matrix {}".format(name), value)

    def tag(self, name, value=None):
        # type: (str, object) -> None
        """Print a tag."""
        _attempted("tag the run", {name: value})

    def set_tags(self, tags):
        # type: (dict[str, Any]) -> None
        """Print tags."""
        _attempted("tag the run", tags)

    def add_properties(self, properties):
        # type: (dict[str, Any]) -> None
        """Print properties."""
        _attempted("add properties", properties)

    def upload_file(self, name, path_or_stream, datastore_name=None):
        # type: (str, object, str | None) -> None
        """Print what would have been uploaded."""
        _attempted("upload a file as {}".format(name), path_or_stream)

    def upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None):
        # type: (list[str], list[str], bool, float | None, str | None) -> None
        """Print what would have been uploaded."""
        _attempted("upload files as {}".format(", ".join(names)), paths)

    def upload_folder(self, name, path, datastore_name=None):
        # type: (str, str, str | None) -> None
        """Print what would have been uploaded."""
        _attempted("upload a folder as {}".format(name), path)

    def child_run(self, name=None, run_id=None, outputs=None):
        # type: (str | None, str | None, str | None) -> _OfflineRun
        """Another offline run."""
        return _OfflineRun(run_id=run_id)

    def complete(self):
        # type: () -> None
        """Nothing."""

    def fail(self, error_details=None, error_code=None):
        # type: (object, str | None) -> None
        """Nothing."""

    def cancel(self):
        # type: () -> None
        """Nothing."""

    def flush(self):
        # type: () -> None
        """Nothing."""

    def __enter__(self):
        # type: () -> _OfflineRun
        return self

    def __exit__(self, exit_type, value, traceback):
        # type: (object, BaseException | None, object) -> None
        self.complete() if value is None else self.fail(value)


def _attempted(what, value):
    # type: (str, object) -> None
    print("Attempted to {}:\n{}".format(what, value))
