"""TabularDataset: rows and columns, out of files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from mlflows.data import definition, expressions, tables
from mlflows.data.abstract_dataset import AbstractDataset
from mlflows.exceptions import DatasetTimestampMissingError, UserErrorException

_OLD_NAMES = {"fine_grain_timestamp": "timestamp", "coarse_grain_timestamp": "partition_timestamp"}


class TabularDataset(AbstractDataset):
    """A table; made with Dataset.Tabular."""

    _kind = definition.TABULAR

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null") -> Any:
        """All rows, as a pandas DataFrame.

        Args:
            on_error: ``null`` makes a missing value of what is not of the type of its column; ``fail`` raises.
            out_of_range_datetime: ``null`` makes a missing value of a time that pandas cannot hold; ``error`` raises.

        Raises:
            UserErrorException: there are no files, or they are not what they are read as; a column that is asked for is not there.
        """
        for field, value, known in (
            ("on_error", on_error, ("null", "fail")),
            ("out_of_range_datetime", out_of_range_datetime, ("null", "error")),
        ):
            if value not in known:
                raise UserErrorException(f"{field}: {value!r} is neither {known[0]!r} nor {known[1]!r}.")
        tables.pandas()
        return tables.table_of(self._definition, self._files(), on_error, out_of_range_datetime)

    def keep_columns(self, columns: str | list[str], validate: bool = False) -> TabularDataset:
        """Some columns, in this order.

        Args:
            columns: a name, or several.
            validate: read the first row now, to see that they are there.

        Raises:
            UserErrorException: not names; ``validate`` finds one missing.
        """
        made = self._then("keep_columns", columns=_names("columns", columns))
        if validate:
            made.take(1).to_pandas_dataframe()
        return made

    def drop_columns(self, columns: str | list[str]) -> TabularDataset:
        """All columns but some; one that is not there is no error.

        Raises:
            UserErrorException: not names.
        """
        return self._then("drop_columns", columns=_names("columns", columns))

    def filter(self, expression: expressions.Expression) -> TabularDataset:
        """The rows that meet a condition, such as ``dataset["age"] > 30``.

        Raises:
            UserErrorException: not a condition.
        """
        return self._then("filter", expression=expressions.tree_of(expression))

    def with_timestamp_columns(
        self, timestamp: str | None = None, partition_timestamp: str | None = None, validate: bool = False, **kwargs: Any
    ) -> TabularDataset:
        """Say which column has the time of a row, for ``time_before`` and the like; without any, none has.

        Args:
            timestamp: the column.
            partition_timestamp: the column of the partition format that has it less exactly.
            validate: read the first row now, to see that they are there.

        Raises:
            UserErrorException: not names, both the same, or the second without the first; ``validate`` finds one missing.
        """
        for old, value in kwargs.items():
            if old not in _OLD_NAMES:
                raise UserErrorException(f"{old}: not an argument of with_timestamp_columns. It has timestamp and partition_timestamp.")
            timestamp = value if _OLD_NAMES[old] == "timestamp" else timestamp
            partition_timestamp = value if _OLD_NAMES[old] == "partition_timestamp" else partition_timestamp
        for field, name in (("timestamp", timestamp), ("partition_timestamp", partition_timestamp)):
            if name is not None and (not isinstance(name, str) or not name):
                raise UserErrorException(f"{field}: {name!r} is not the name of a column.")
        if partition_timestamp is not None and timestamp in (None, partition_timestamp):
            raise UserErrorException(
                f"partition_timestamp: {partition_timestamp!r} needs a timestamp column beside it, and another one than itself."
            )
        if validate:
            wanted = [name for name in (timestamp, partition_timestamp) if name]
            self.take(1)._then("keep_columns", columns=wanted).to_pandas_dataframe()
        return self._then("timestamps", timestamp=timestamp, partition=partition_timestamp)

    @property
    def timestamp_columns(self) -> tuple[str | None, str | None]:
        """The column with the time of a row and that of the partition; None for what is not said, or no column any more."""
        found: tuple[str | None, str | None] = (None, None)
        for step in self._definition.steps:
            if step["do"] == "timestamps":
                found = (step["timestamp"], step["partition"])
            elif step["do"] in ("keep_columns", "drop_columns"):
                kept = step["do"] == "keep_columns"
                first, second = (name if name is not None and (name in step["columns"]) == kept else None for name in found)
                found = (first, second if first else None)
        return found

    def time_before(self, end_time: datetime, include_boundary: bool = True, validate: bool = True) -> TabularDataset:
        """The rows before a time; a time without a zone is UTC's, here and below.

        Raises:
            DatasetTimestampMissingError: no column has the time of a row; with_timestamp_columns says which.
            UserErrorException: not a time.
        """
        return self._in_time(None, _time("end_time", end_time), include_boundary)

    def time_after(self, start_time: datetime, include_boundary: bool = True, validate: bool = True) -> TabularDataset:
        """The rows after a time. Errors as in time_before."""
        return self._in_time(_time("start_time", start_time), None, include_boundary)

    def time_between(
        self, start_time: datetime, end_time: datetime, include_boundary: bool = True, validate: bool = True
    ) -> TabularDataset:
        """The rows between two times. Errors as in time_before, and for times in the wrong order."""
        start, end = _time("start_time", start_time), _time("end_time", end_time)
        first, last = expressions.alike(start, end)
        if first > last:
            raise UserErrorException(f"start_time: {start} is after end_time, {end}.")
        return self._in_time(start, end, include_boundary)

    def time_recent(self, time_delta: timedelta, include_boundary: bool = True, validate: bool = True) -> TabularDataset:
        """The rows of the last time, until now. Errors as in time_before."""
        if not isinstance(time_delta, timedelta) or time_delta < timedelta(0):
            raise UserErrorException(f"time_delta: {time_delta!r} is not a length of time. Give for instance timedelta(days=7).")
        return self._in_time(datetime.now(timezone.utc) - time_delta, None, include_boundary)

    def _in_time(self, start: datetime | None, end: datetime | None, include: bool) -> TabularDataset:
        if not isinstance(include, bool):
            raise UserErrorException(f"include_boundary: expected True or False, got {include!r}.")
        column = self.timestamp_columns[0]
        if column is None:
            raise DatasetTimestampMissingError(
                "No column has the time of a row. Say which with dataset.with_timestamp_columns('column') first."
            )
        bounds = {"start": start and start.isoformat(), "end": end and end.isoformat()}
        return self._then("time", column=column, include=include, **bounds)


def _names(field: str, columns: Any) -> list[str]:
    wanted = [columns] if isinstance(columns, str) else list(columns) if isinstance(columns, Iterable) else []
    if not wanted or not all(isinstance(each, str) and each for each in wanted):
        raise UserErrorException(f"{field}: expected a name of a column, or a list of them, got {columns!r}.")
    return list(dict.fromkeys(wanted))


def _time(field: str, value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise UserErrorException(f"{field}: expected a datetime, got {value!r}.")
    return value
