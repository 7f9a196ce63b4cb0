"""Writing a ledger's writes to MLflow: safe to repeat, one bad entry does not hold up the others."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflows.history import closing, runs
from mlflows.history import tags as names
from mlflows.history.artifacts import Artifacts
from mlflows.history.closing import Outcome
from mlflows.history.ledger import MAIN, Document, Writes
from mlflows.history.runs import RunRef
from mlflows.history.status import RunStatus
from mlflows.history.tracking import Metric, NotFound, Tracking, TrackingError, TrackingUnreachable

MOST_REFUSALS = 20
"""So many refused entries in a row: it is not the entries, it is the run."""
MOST_SERVER_ERRORS = 10
"""The same batch met so many internal errors of the server: it is the batch."""

Entry = tuple[str, Any]
"""``param``, ``tag`` or ``metric``, and what it is."""


class Delivery:
    """Writes to one job's run and its child runs.

    Args:
        tracking: the MLflow server.
        ref: the job's run.
        folder: the job folder.
        children: child runs made earlier, by id.
    """

    def __init__(self, tracking: Tracking, ref: RunRef, folder: Path, children: Mapping[str, RunRef] = {}) -> None:
        self._tracking = tracking
        self._folder = folder
        self.refs: dict[str, RunRef] = {MAIN: ref, ref.run_id: ref, **children}
        self.refused: list[str] = []
        """What the server did not take, in words."""
        self._server_errors = 0

    def send(self, key: str, writes: Writes, outcome: Outcome | None = None) -> None:
        """Write all; what has been written is taken out of ``writes``, so that a repeated call goes on where the last one broke.

        Args:
            key: MAIN, or the id of a child run.
            writes: what to write.
            outcome: end the run with it, in the same request as the metrics.

        Raises:
            TrackingUnreachable: no answer, or an overloaded server: call again later.
        """
        ref = self.ref(key, writes)
        writes.start = None
        while writes.uploads:
            self._upload(ref, writes.uploads[0].source, writes.uploads[0].artifact)
            del writes.uploads[0]
        while writes.documents:
            self._write(ref, writes.documents[0])
            del writes.documents[0]
        for name in sorted(writes.removed):
            self._try(f"tag {name}", lambda name=name: self._tracking.delete_tag(ref.mlflow_run_id, name))
            writes.removed.discard(name)
        if writes.end:
            outcome = Outcome(*writes.end)
        if outcome is not None:
            self._close(ref, writes, outcome)
        elif writes.metrics or writes.params or writes.tags:
            self._batch(ref, writes.metrics, writes.params, writes.tags)
        writes.metrics, writes.params, writes.tags, writes.end = [], {}, {}, None

    def ref(self, key: str, writes: Writes | None = None) -> RunRef:
        """The run of a key; a child run that is not known is found, or made."""
        if key not in self.refs:
            found = runs.find_run(self._tracking, key, [self.refs[MAIN].experiment_id])
            self.refs[key] = runs.ref_of(found, self.refs[MAIN].experiment) if found else self._create(key, writes)
        return self.refs[key]

    def artifacts(self, key: str = MAIN) -> Artifacts:
        """The artifacts of a run."""
        ref = self.ref(key)
        return Artifacts(self._tracking, ref.mlflow_run_id, ref.artifact_uri)

    def table_tag(self, key: str, tables: Sequence[Mapping[str, str]]) -> str:
        """MLflow's list of tables with ours in it; a script's own mlflow calls may have put some there."""
        known = json.loads(self._tracking.get_run(self.ref(key).mlflow_run_id).tags.get(names.LOGGED_ARTIFACTS, "[]"))
        return json.dumps(known + [table for table in tables if table not in known])

    def _create(self, key: str, writes: Writes | None) -> RunRef:
        start = writes.start if writes else None
        parent = self.ref(start.parent) if start else self.refs[MAIN]
        tags = {names.TYPE: runs.SCRIPT_RUN}
        return runs.create(
            self._tracking, parent.experiment, key, start.name if start else None, tags, parent.mlflow_run_id, RunStatus.RUNNING
        )

    def _upload(self, ref: RunRef, source: str, artifact: str) -> None:
        path = self._folder / posixpath.normpath("/" + source).lstrip("/")
        artifacts = Artifacts(self._tracking, ref.mlflow_run_id, ref.artifact_uri)
        self._try(f"file {artifact}", lambda: artifacts.upload(path, artifact))

    def _write(self, ref: RunRef, document: Document) -> None:
        artifacts = Artifacts(self._tracking, ref.mlflow_run_id, ref.artifact_uri)
        self._try(f"artifact {document.artifact}", lambda: artifacts.write(document.artifact, json.dumps(document.value).encode()))

    def _close(self, ref: RunRef, writes: Writes, outcome: Outcome) -> None:
        if len(writes.metrics) + len(writes.tags) + len(writes.params) > 900 or not self._closed(ref, writes, outcome):
            self._batch(ref, writes.metrics, writes.params, writes.tags)
            closing.close(self._tracking, ref, outcome)

    def _closed(self, ref: RunRef, writes: Writes, outcome: Outcome) -> bool:
        """Whether the server took the end and all that is written with it."""
        try:
            return closing.close(self._tracking, ref, outcome, writes.metrics, writes.params, writes.tags)
        except TrackingUnreachable:
            raise
        except TrackingError:
            return False

    def _batch(self, ref: RunRef, metrics: Sequence[Metric], params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        """One batch; a refused one entry by entry, so that only the bad ones are left out."""
        if not (metrics or params or tags):
            return
        if self._refusal(ref, metrics, params, tags) is not None:
            self._sift(ref, [("param", pair) for pair in params.items()])
            self._sift(ref, [("tag", pair) for pair in tags.items()])
            self._sift(ref, [("metric", metric) for metric in metrics])

    def _sift(self, ref: RunRef, entries: Sequence[Entry]) -> None:
        """Halve what was refused until the bad entries stand alone; many in a row are given up together."""
        parts, in_a_row = [entries], 0
        while parts:
            part = parts.pop()
            error = self._refusal(ref, *_of_kinds(part))
            if error is None:
                in_a_row = 0
            elif len(part) == 1 or in_a_row >= MOST_REFUSALS or isinstance(error, NotFound):
                in_a_row += 1
                self.refused += [f"{kind} {entry[0]}: {error.message}" for kind, entry in part[:MOST_REFUSALS]]
            else:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]

    def _refusal(self, ref: RunRef, metrics: Sequence[Metric], params: Mapping[str, Any], tags: Mapping[str, Any]) -> TrackingError | None:
        try:
            self._log(ref, metrics, params, tags)
        except TrackingUnreachable:
            raise
        except TrackingError as error:
            return error
        return None

    def _log(self, ref: RunRef, metrics: Sequence[Metric], params: Mapping[str, Any], tags: Mapping[str, Any]) -> None:
        try:
            self._tracking.log_batch(ref.mlflow_run_id, metrics, params, tags)
            self._server_errors = 0
        except TrackingError as error:
            self._raise_if_passing(error)
            raise

    def _raise_if_passing(self, error: TrackingError) -> None:
        """A locked database answers 500 and recovers; ten times in a row it is the data."""
        if isinstance(error, TrackingUnreachable) or error.status is None or error.status < 500:
            return
        self._server_errors += 1
        if self._server_errors < MOST_SERVER_ERRORS:
            raise TrackingUnreachable(error.message, error.status, error.code) from error

    def _try(self, what: str, write: Any) -> None:
        try:
            write()
        except TrackingUnreachable:
            raise
        except TrackingError as error:
            self._raise_if_passing(error)
            self.refused.append(f"{what}: {error.message}")
        except OSError as error:
            self.refused.append(f"{what}: {error}")


def _of_kinds(entries: Sequence[Entry]) -> tuple[list[Metric], dict[str, Any], dict[str, Any]]:
    metrics = [entry for kind, entry in entries if kind == "metric"]
    params, tags = (dict(entry for each, entry in entries if each == kind) for kind in ("param", "tag"))
    return metrics, params, tags
