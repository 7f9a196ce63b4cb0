"""What a job's events mean for MLflow: points, tags, files, child runs. No input or output happens here.

The same events in the same order always give the same steps, also after a restart that reads them again.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflows.history import limits
from mlflows.history import tags as names
from mlflows.history.shapes import Shapes, rows_of
from mlflows.history.spool import Event
from mlflows.history.status import RunStatus
from mlflows.history.tracking import Metric

CLIENT = "client"
"""Rank of what is logged from outside the job."""
MAIN = ""
"""Key of the job's own run; child runs have their ids."""
IMAGES = "images"


@dataclass(frozen=True)
class Upload:
    """A file of the job folder and the artifact it becomes."""

    source: str
    artifact: str


@dataclass(frozen=True)
class Document:
    """A small JSON artifact."""

    artifact: str
    value: Any


@dataclass(frozen=True)
class ChildStart:
    """A child run to be made."""

    parent: str
    name: str | None


@dataclass
class Writes:
    """What is to be written to one run, in any order but: the child's start first, its end last."""

    start: ChildStart | None = None
    metrics: list[Metric] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    uploads: list[Upload] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    end: tuple[str, dict[str, Any] | None] | None = None
    """Status and error of a child run that ended."""

    def __bool__(self) -> bool:
        return any((self.start, self.metrics, self.params, self.tags, self.removed, self.uploads, self.documents, self.end))


class Ledger:
    """One run: what it has logged so far, and what of it is still to be written.

    Args:
        properties: those it has already; a property is written once, the first value stays.
        shapes: what was logged earlier.
        steps: the next step of each key that was logged earlier.
    """

    def __init__(
        self, properties: Mapping[str, str] | None = None, shapes: Shapes | None = None, steps: Mapping[str, int] | None = None
    ) -> None:
        self.shapes = shapes or Shapes()
        self.writes = Writes()
        self.failure: dict[str, Any] | None = None
        """What the job's own ``run.fail()`` said."""
        self.stale_tables: set[str] = set()
        self.shapes_stale = False
        self.ended = False
        self._tables: list[str] = []
        self._properties = dict(properties or {})
        self._steps: dict[tuple[str, str], int] = {(CLIENT, key): step for key, step in (steps or {}).items()}

    def take(self, event: Event) -> None:
        """Add what an event means; unknown kinds, and events that lack something, mean nothing."""
        handler = _HANDLERS.get(event.body["e"])
        if handler is None:
            return
        try:
            handler(self, event)
        except (KeyError, TypeError, ValueError, AttributeError):  # not written by our Run: it must not stop what follows
            return

    def taken(self) -> Writes:
        """What is to be written; the ledger starts a new list."""
        writes, self.writes = self.writes, Writes()
        return writes

    def logged_tables(self) -> list[dict[str, str]]:
        """The value of MLflow's tag that names the table artifacts."""
        return [{"path": table_path(name), "type": "table"} for name in self._tables]

    # kinds of events

    def _metric(self, event: Event) -> None:
        body = event.body
        value, name = body.get("value"), str(body["name"])
        step = body.get("step")
        self._shaped().scalars(event.rank, name, [value])
        self._point(event, name, value, None if step is None else limits.int64(float(step)))

    def _list(self, event: Event) -> None:
        values, name = list(event.body["value"]), str(event.body["name"])
        if not values:
            return
        self._shaped().scalars(event.rank, name, values)
        for value in values:
            self._point(event, name, value, None)

    def _row(self, event: Event) -> None:
        self._add_row(event, str(event.body["name"]), event.body["columns"])

    def _table(self, event: Event) -> None:
        for row in rows_of(event.body["value"]):
            self._add_row(event, str(event.body["name"]), row)

    def _image(self, event: Event) -> None:
        source = str(event.body["file"])
        artifact = limits.artifact_of(f"{IMAGES}/{posixpath.basename(source)}")
        self._shaped().image(event.rank, str(event.body["name"]), artifact)
        self.writes.uploads.append(Upload(source, artifact))

    def _json(self, event: Event) -> None:
        name, value = str(event.body["name"]), event.body["value"]
        self._shaped().document(event.rank, name, value)
        self.writes.documents.append(Document(limits.artifact_of(f"{event.body.get('kind', 'json')}/{name}.json"), value))

    def _tag(self, event: Event) -> None:
        self._set_user_tags({event.body["key"]: event.body.get("value")})

    def _tags(self, event: Event) -> None:
        self._set_user_tags(event.body["tags"])

    def _untag(self, event: Event) -> None:
        keys = event.body["keys"]
        for key in [keys] if isinstance(keys, str) else keys:
            if str(key).startswith(names.PREFIX):
                continue
            self.writes.tags.pop(str(key), None)
            self.writes.removed.add(str(key))

    def _property(self, event: Event) -> None:
        new = {str(key): value for key, value in event.body["properties"].items() if str(key) not in self._properties}
        self._properties.update(new)
        self._set_tags({names.PROPERTY_PREFIX + key: value for key, value in new.items()})

    def _upload(self, event: Event) -> None:
        self.writes.uploads.append(Upload(str(event.body["file"]), limits.artifact_of(str(event.body["name"]))))

    def _child(self, event: Event) -> None:
        self.writes.start = ChildStart(str(event.body.get("parent") or MAIN), event.body.get("name"))

    def _complete(self, event: Event) -> None:
        self.end(RunStatus.COMPLETED, None)

    def _fail(self, event: Event) -> None:
        message = event.body.get("message") or "The script called run.fail()"
        self.failure = {"code": str(event.body.get("code") or "UserError"), "message": str(message)}
        self.end(RunStatus.FAILED, self.failure)

    def _display_name(self, event: Event) -> None:
        self._set_tags({names.RUN_NAME: event.body["value"]})

    def _description(self, event: Event) -> None:
        self._set_tags({names.NOTE: event.body["value"]})

    # helpers

    def end(self, status: str, error: dict[str, Any] | None) -> None:
        """The run, if it is a child, has ended."""
        self.ended = True
        self.writes.end = (status, error)

    def _set_user_tags(self, tags: dict[str, Any]) -> None:
        """A script cannot set what only we may: its status, for one."""
        self._set_tags({key: value for key, value in tags.items() if not str(key).startswith(names.PREFIX)})

    def _set_tags(self, tags: dict[str, Any]) -> None:
        for key, value in tags.items():
            self.writes.removed.discard(str(key))
            self.writes.tags[str(key)] = value

    def _shaped(self) -> Shapes:
        self.shapes_stale = True
        return self.shapes

    def _add_row(self, event: Event, name: str, columns: dict[str, Any]) -> None:
        index = self._shaped().row(event.rank, name, columns)
        if name not in self._tables:
            self._tables.append(name)
        self.stale_tables.add(name)
        for column, value in columns.items():
            self._point(event, f"{name}/{column}", value, index)

    def _point(self, event: Event, name: str, value: Any, step: int | None) -> None:
        """A number becomes a point at the call's time; without a step, the next of this name and rank."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        key = limits.key_of(name)
        counter = (event.rank, key)
        if step is None:
            step = self._steps.get(counter, 0)
        self._steps[counter] = max(self._steps.get(counter, 0), step + 1)
        try:
            self.writes.metrics.append(Metric(key, limits.metric_value(value), int(event.body["t"]), step))
        except OverflowError:  # a whole number beyond a float's range lives in the shapes only
            return


def table_path(name: str) -> str:
    """The artifact of a table."""
    return limits.artifact_of(f"{name}.json")


_HANDLERS: dict[str, Callable[[Ledger, Event], None]] = {
    "metric": Ledger._metric,
    "list": Ledger._list,
    "row": Ledger._row,
    "table": Ledger._table,
    "image": Ledger._image,
    "json": Ledger._json,
    "tag": Ledger._tag,
    "tags": Ledger._tags,
    "untag": Ledger._untag,
    "property": Ledger._property,
    "upload": Ledger._upload,
    "child": Ledger._child,
    "complete": Ledger._complete,
    "fail": Ledger._fail,
    "display_name": Ledger._display_name,
    "description": Ledger._description,
}
