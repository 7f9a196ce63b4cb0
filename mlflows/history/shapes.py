"""Metrics as SDK v1 gives them back: numbers stay whole, text stays text, rows and tables keep their columns.

MLflow holds series of floats only; this holds what is lost there, as one JSON document a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MAX_VALUES = 10_000
"""Longer series keep their first values here only to count; all of them are read from MLflow's history."""
SCALAR, TABLE, IMAGE, JSON = "scalar", "table", "image", "json"


class Shapes:
    """The metrics of one run, by name. Values of several ranks under one name follow each other by rank."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._series: dict[str, dict[str, list[Any]]] = {}
        self._long: dict[str, str] = {}

    @classmethod
    def from_json(cls, document: Mapping[str, Mapping[str, Any]], rank: str) -> Shapes:
        """The inverse of to_json, as if one rank had logged it all; of a long series only its length is lost."""
        shapes = cls()
        for name, entry in document.items():
            shapes._of(entry["kind"], name, rank).extend(entry.get("values", ()))
            if "long" in entry:
                shapes._long[name] = entry["long"]
        return shapes

    def scalars(self, rank: str, name: str, values: Iterable[Any]) -> None:
        """Values of ``log`` or ``log_list``."""
        kept = self._of(SCALAR, name, rank)
        kept.extend(values)
        if len(kept) > MAX_VALUES:
            self._long.setdefault(name, "int" if all(type(value) is int for value in kept) else "float")
            del kept[MAX_VALUES:]

    def row(self, rank: str, name: str, columns: Mapping[str, Any]) -> int:
        """A row of ``log_row``; its index within its rank."""
        rows = self._of(TABLE, name, rank)
        rows.append(dict(columns))
        return len(rows) - 1

    def image(self, rank: str, name: str, artifact: str) -> None:
        """An image, by its artifact's path."""
        self._of(IMAGE, name, rank).append(artifact)

    def document(self, rank: str, name: str, value: Any) -> None:
        """A confusion matrix, accuracy table, residuals or predictions."""
        self._of(JSON, name, rank)[:] = [value]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        return self._values(name)

    def to_json(self) -> dict[str, Any]:
        """The document: name -> {kind, values} or, for a long series, {kind, long: int|float}."""
        return {
            name: {"kind": kind, "long": self._long[name]} if name in self._long else {"kind": kind, "values": self._values(name)}
            for name, kind in self._kinds.items()
        }

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def _of(self, kind: str, name: str, rank: str) -> list[Any]:
        if self._kinds.get(name) != kind:  # the same name for something else: the later one counts
            self._kinds[name] = kind
            self._series[name] = {}
            self._long.pop(name, None)
        return self._series[name].setdefault(rank, [])

    def _values(self, name: str) -> list[Any]:
        ranks = self._series[name]
        return [value for rank in sorted(ranks) for value in ranks[rank]]


def value_of(entry: Mapping[str, Any], artifact_uri: str) -> Any:
    """What ``get_metrics`` gives for an entry of the document: one value alone, several as a list, a table as a dict of its
    columns (of its cells if it has a single row), an image as its artifact's address."""
    values = entry["values"]
    if entry["kind"] == TABLE:
        return _columns(values)
    if entry["kind"] == IMAGE:
        values = [f"{artifact_uri}/{path}" for path in values]
    return values[0] if len(values) == 1 else values


def table_artifact(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A table as MLflow's UI reads it: ``columns`` and ``data``."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows]}


def rows_of(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a dict of columns; short columns are filled with None, a scalar is a column of one."""
    columns = {name: value if isinstance(value, list) else [value] for name, value in table.items()}
    length = max((len(values) for values in columns.values()), default=0)
    return [{name: values[index] if index < len(values) else None for name, values in columns.items()} for index in range(length)]


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    if len(rows) == 1:
        return dict(rows[0])
    table = table_artifact(rows)
    return {column: [cells[index] for cells in table["data"]] for index, column in enumerate(table["columns"])}
