"""``run.log`` and its like outside a job: written to MLflow at once."""

from __future__ import annotations

import atexit
import json
import os
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflows.history import limits, metrics
from mlflows.history import tags as names
from mlflows.history.base import BaseRun
from mlflows.job import images, values

if TYPE_CHECKING:  # who only submits does not load what keeps the books of a logging run
    from mlflows.history.ledger import Ledger

SHAPES_SECONDS = 3.0
INLINE_SHAPES = 500

_unsaved: weakref.WeakSet[LogCalls] = weakref.WeakSet()


class LogCalls(BaseRun):
    """The logging half of Run. Numbers are at the server when a call returns; their shapes at the latest after flush, complete or exit."""

    _shapes_due: float = 0.0

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """One value of a metric; the same name again makes a series.

        Raises:
            UserErrorException: ``value`` is several values (use log_list), an integer wider than 64 bits, or ``step`` is no integer.
        """
        self._take("metric", name=str(name), value=values.scalar(name, value), step=values.step_number(name, step))

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Several values at once; an empty list records nothing.

        Raises:
            UserErrorException: ``value`` is no list.
            AzureMLException: an element is no single value.
        """
        self._take("list", name=str(name), value=values.scalars(name, value))

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """One row of a table, its columns as keywords."""
        self._take("row", name=str(name), columns={key: values.scalar(f"{name}.{key}", value) for key, value in kwargs.items()})

    def log_table(self, name: str, value: Any, description: str = "") -> None:
        """A whole table: ``{column: [values]}``.

        Raises:
            UserErrorException: not a dict, or columns of different lengths.
        """
        self._take("table", name=str(name), value=values.table(name, value))

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """A confusion matrix: dict or JSON text with schema_type, schema_version and data.

        Raises:
            UserErrorException: it is something else.
        """
        self._take("json", name=str(name), kind="confusion_matrix", value=values.document(name, value))

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """An accuracy table, in the form of log_confusion_matrix."""
        self._take("json", name=str(name), kind="accuracy_table", value=values.document(name, value))

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Residuals, in the form of log_confusion_matrix."""
        self._take("json", name=str(name), kind="residuals", value=values.document(name, value))

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Predictions, in the form of log_confusion_matrix."""
        self._take("json", name=str(name), kind="predictions", value=values.document(name, value))

    def log_image(self, name: str, path: str | None = None, plot: Any = None, description: str = "") -> None:
        """A picture: a file, or a matplotlib figure (or pyplot), which is saved as ``<name>_<epoch seconds>.png``.

        Raises:
            AzureMLException: both or none of ``path`` and ``plot``; a file of no known image type.
            UserErrorException: no such file.
        """
        from mlflows.history.ledger import IMAGES

        images.check(name, path, plot)
        suffix = ".png" if path is None else Path(path).suffix
        file = limits.artifact_of(f"{name}_{int(time.time() * 1000)}{suffix}")
        if path is not None:
            self._artifacts().upload(Path(path), f"{IMAGES}/{os.path.basename(file)}")
        else:
            self._artifacts().write(f"{IMAGES}/{os.path.basename(file)}", _png(plot))
        self._take("image", name=str(name), file=file)

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Metrics: a value, a list for a series, a dict of lists for a table (of values for a single row), an address for an image.

        Args:
            name: only those of this name.
            recursive: ``{run id: metrics}`` of this run and all below it.
            run_type: with recursive, only of child runs of this type.
            populate: kept for compatibility; addresses are given, not contents.
        """
        self._save_shapes()
        record = self._refresh()
        if not recursive:
            return metrics.metrics_of(self._tracking(), record, name)
        family = [record, *self._descendants(run_type)]
        return {run.tags.get(names.RUN_ID, run.run_id): metrics.metrics_of(self._tracking(), run, name) for run in family}

    def flush(self, timeout_seconds: float = 300) -> None:
        """Everything logged through this object is at the server when this returns."""
        self._save_shapes()

    def _take(self, event: str, /, **body: Any) -> None:
        from mlflows.history.ledger import CLIENT
        from mlflows.history.spool import Event

        if self._ledger is None:
            self._ledger = self._opened()
        ledger = self._ledger
        ledger.take(Event(CLIENT, 0, {"t": int(time.time() * 1000), "e": event, **body}))
        writes = ledger.taken()
        for document in writes.documents:
            self._artifacts().write(document.artifact, json.dumps(document.value).encode())
        _unsaved.add(self)
        if time.monotonic() >= self._shapes_due:
            writes.tags.update(self._shapes_tags(ledger))
        self._tracking().log_batch(self._ref.mlflow_run_id, writes.metrics, tags=writes.tags)

    def _opened(self) -> Ledger:
        """What the run has already: a series goes on after its last step."""
        from mlflows.history.ledger import CLIENT, Ledger
        from mlflows.history.shapes import Shapes

        record = self._refresh()
        document = metrics.shapes_of(self._tracking(), record)
        steps = {key: step + 1 for key, step in record.steps.items()}
        return Ledger(names.properties(record.tags), Shapes.from_json(document, CLIENT), steps)

    def _save_shapes(self) -> None:
        if self._ledger is not None and (self._ledger.shapes_stale or self._ledger.stale_tables):
            self._tracking().log_batch(self._ref.mlflow_run_id, tags=self._shapes_tags(self._ledger))

    def _shapes_tags(self, ledger: Ledger) -> dict[str, str]:
        """Write tables and shapes where they belong; the tags that name them."""
        from mlflows.history.ledger import table_path
        from mlflows.history.shapes import table_artifact

        tags, artifacts = {}, self._artifacts()
        for name in sorted(ledger.stale_tables):
            artifacts.write(table_path(name), json.dumps(table_artifact(ledger.shapes.rows(name))).encode())
        if ledger.stale_tables:
            known = json.loads(self._refresh().tags.get(names.LOGGED_ARTIFACTS, "[]"))
            tags[names.LOGGED_ARTIFACTS] = json.dumps(known + [table for table in ledger.logged_tables() if table not in known])
        text = json.dumps(ledger.shapes.to_json())
        if len(text) > INLINE_SHAPES:
            artifacts.write(names.METRICS_ARTIFACT, text.encode())
        tags[names.METRICS] = text if len(text) <= INLINE_SHAPES else names.METRICS_IN_ARTIFACT
        ledger.stale_tables.clear()
        ledger.shapes_stale = False
        self._shapes_due = time.monotonic() + SHAPES_SECONDS
        _unsaved.discard(self)
        return tags


@atexit.register
def _save_all() -> None:
    for run in list(_unsaved):
        run._save_shapes()


def _png(plot: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    plot.savefig(buffer, format="png")
    return buffer.getvalue()
