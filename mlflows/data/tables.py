"""Tables out of files, with pandas and pyarrow: reading, types of columns, steps on rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from mlflows.data import expressions
from mlflows.data.cache import Cache
from mlflows.data.definition import DataFile, Definition, Step
from mlflows.data.store import gone
from mlflows.exceptions import UserErrorException

PATH_COLUMN = "Path"
"""What ``include_path`` adds."""

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_ZONE = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})\s*$")
_MISSING = ("na", "n/a", "nan", "null", "none", "?")
"""What stands for no value in a column of numbers; in text it is text."""
_LOOKED_AT = 200
"""Values that have to look like times before a column is taken for one."""

Frame = Any


def pandas() -> Any:
    """The library.

    Raises:
        UserErrorException: it, or pyarrow, is not installed.
    """
    try:
        import pandas
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UserErrorException(f"Tables need pandas and pyarrow ({error}). Install them: pip install 'mlflows[data]'.") from error
    return pandas


def table_of(definition: Definition, files: list[DataFile], on_error: str = "null", out_of_range: str = "null") -> Frame:
    """All rows of files after all steps.

    Args:
        definition: how they are read, and the steps.
        files: the files, in the order of the rows.
        on_error: ``null`` makes a missing value of what is not of its column's type; ``fail`` raises.
        out_of_range: ``null`` or ``error``, for times that pandas cannot hold.

    Raises:
        UserErrorException: a file is not of the kind that is read; a column that is asked for is not there.
    """
    limit = _rows_needed(definition.steps)
    if limit is not None and definition.reading.get("infer"):
        limit = max(limit, _LOOKED_AT)
    frame = _joined(definition, _read(definition, files, limit))
    for name, wanted in definition.reading.get("types", {}).items():
        _check_columns("set_column_types", [name], frame)
        frame[name] = _converted(name, frame[name], wanted, on_error, out_of_range)
    for step in definition.steps:
        frame = _STEPS[step["do"]](frame, step)
    return frame.reset_index(drop=True)


def _rows_needed(steps: Iterable[Step]) -> int | None:
    """How many rows are enough for all steps; None for all."""
    skipped = 0
    for step in steps:
        if step["do"] == "take":
            return skipped + int(step["count"])
        if step["do"] == "skip":
            skipped += step["count"]
        elif step["do"] not in ("keep_columns", "drop_columns", "timestamps"):
            return None
    return None


def _read(definition: Definition, files: list[DataFile], limit: int | None) -> list[Frame]:
    """All files are fetched at once, or those that the rows are in, one after the other."""
    cache = Cache()
    if limit is None:
        with cache.paths(files) as paths:
            return [_one(definition, file, path, None) for file, path in zip(files, paths, strict=True)]
    frames: list[Frame] = []
    for file in files:
        rows = sum(map(len, frames))
        if frames and rows >= limit:
            break
        with cache.paths([file]) as [path]:
            frames.append(_one(definition, file, path, max(limit - rows, 1)))
    return frames


def _one(definition: Definition, file: DataFile, path: str, rows: int | None) -> Frame:
    pd = pandas()
    frame = _frame_of(file, path, definition.reading, rows)
    for column, value in file.values.items():
        frame[column] = pd.Series([value] * len(frame), index=frame.index, dtype="datetime64[us]" if isinstance(value, datetime) else "str")
    if definition.reading.get("include_path"):
        frame.insert(0, PATH_COLUMN, "/" + file.name)
    return frame


def _frame_of(file: DataFile, path: str, reading: Mapping[str, Any], rows: int | None) -> Frame:
    try:
        with open(path, "rb") as handle:
            return _READERS[reading["as"]](handle, file.name, reading, rows)
    except UserErrorException:
        raise
    except FileNotFoundError:
        raise gone(file.item, file.store.place) from None
    except UnicodeDecodeError as error:
        raise UserErrorException(f"{file.name!r} is not text in {reading.get('encoding')} ({error}). Give its encoding.") from error
    except (ValueError, OSError) as error:  # pandas' ParserError and pyarrow's ArrowInvalid are ValueErrors
        raise UserErrorException(f"{file.name!r} cannot be read as {_WORDS[reading['as']]}: {error}.") from error


def _joined(definition: Definition, frames: list[Frame]) -> Frame:
    pd = pandas()
    if not frames:
        return pd.DataFrame()
    if definition.reading["as"] == "delimited" and definition.reading["infer"]:
        types = definition.reading.get("types", {})
        kept = [frame for frame in frames if len(frame)] or frames[:1]
        for name in dict.fromkeys(name for frame in kept for name in frame.columns):
            if name not in types and name != PATH_COLUMN:
                _inferred(name, [frame for frame in kept if name in frame.columns])
        frames = kept
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0].reset_index(drop=True)


def _inferred(name: str, frames: list[Frame]) -> None:
    """Text becomes numbers, true and false, or times, if all of it can; what stands in all files decides."""
    pd = pandas()
    if not all(pd.api.types.is_string_dtype(frame[name]) or frame[name].dtype == object for frame in frames):
        return
    whole = pd.concat([frame[name] for frame in frames], ignore_index=True)
    better = _better(whole)
    if better is None:
        return
    position = 0
    for frame in frames:
        frame[name] = (
            better.iloc[position : position + len(frame)].to_numpy()
            if better.dtype.kind != "M"
            else pd.Series(better.iloc[position : position + len(frame)].array, index=frame.index)
        )
        position += len(frame)


def _better(column: Any) -> Any:
    pd = pandas()
    said = column.dropna()
    if said.empty:
        return None
    first = said.iloc[:_LOOKED_AT]
    if first.str.lower().isin(["true", "false"]).all() and said.str.lower().isin(["true", "false"]).all():
        known = column.str.lower().map({"true": True, "false": False})
        return known.astype(bool) if len(said) == len(column) else known.astype(object)
    if all(_TIME.fullmatch(text.strip()) for text in first):
        try:
            return _naive(
                pd.to_datetime(column, format="ISO8601", utc=True)
                if said.str.contains(_ZONE).any()
                else pd.to_datetime(column, format="ISO8601")
            )
        except (ValueError, TypeError):
            return None
    try:
        return pd.to_numeric(column.where(~column.str.strip().str.lower().isin(_MISSING)))
    except (ValueError, TypeError):
        return None


def _naive(column: Any) -> Any:
    """Times of a zone as those of UTC, without it."""
    return column.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(column.dtype, "tz", None) is not None else column


def _delimited(handle: Any, name: str, reading: Mapping[str, Any], rows: int | None) -> Frame:
    import warnings

    pd = pandas()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of values that would be left out
            frame = pd.read_csv(
                handle,
                sep=reading["separator"],
                header=0 if reading["header"] else None,
                dtype=str,
                encoding=reading["encoding"],
                keep_default_na=False,
                na_values=[] if reading["empty_as_string"] else [""],
                nrows=rows,
                index_col=False,
                engine="c" if len(reading["separator"]) == 1 else "python",
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except pd.errors.ParserWarning as error:
        raise UserErrorException(f"{name!r} has rows with more values than its first line has names ({error}).") from None
    if not reading["header"]:
        frame.columns = [f"Column{index}" for index in range(1, len(frame.columns) + 1)]
    return frame


def _parquet(handle: Any, name: str, reading: Mapping[str, Any], rows: int | None) -> Frame:
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(handle)
    if rows is None:
        return file.read().to_pandas()
    import pyarrow

    batches, found = [], 0
    for batch in file.iter_batches(batch_size=min(max(rows, 1), 65536)):
        batches.append(batch)
        found += len(batch)
        if found >= rows:
            break
    return pyarrow.Table.from_batches(batches, schema=file.schema_arrow).slice(0, rows).to_pandas()


def _json_lines(handle: Any, name: str, reading: Mapping[str, Any], rows: int | None) -> Frame:
    import io

    found: list[dict[str, Any]] = []
    for number, line in enumerate(io.TextIOWrapper(handle, encoding=reading["encoding"]), 1):
        if rows is not None and len(found) >= rows:
            break
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError("not an object")
            found.append(value)
        except ValueError as error:
            if reading["invalid_lines"] == "error":
                raise UserErrorException(
                    f"{name!r}, line {number}, is not a JSON object ({error}). Repair it, or give invalid_lines='drop'."
                ) from None
    return pandas().DataFrame.from_records(found)


_READERS: dict[str, Callable[..., Frame]] = {"delimited": _delimited, "parquet": _parquet, "jsonl": _json_lines}
_WORDS = {"delimited": "delimited text", "parquet": "Parquet", "jsonl": "lines of JSON"}


def _converted(name: str, column: Any, wanted: Mapping[str, Any], on_error: str, out_of_range: str) -> Any:
    pd = pandas()
    try:
        made = _CONVERT[wanted["type"]](column, wanted, out_of_range)
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as error:
        raise UserErrorException(f"Column {name!r} has a time that is out of range: {error}.") from error
    lost = column.notna() & made.isna()
    if on_error == "fail" and lost.any():
        raise UserErrorException(
            f"Column {name!r}: {column[lost].iloc[0]!r} is not of the type {wanted['type']}. on_error='null' allows it."
        )
    return made


def _to_string(column: Any, wanted: Mapping[str, Any], out_of_range: str) -> Any:
    return column.where(column.isna(), column.astype(str)).astype("str" if column.notna().all() else object)


def _to_long(column: Any, wanted: Mapping[str, Any], out_of_range: str) -> Any:
    numbers = pandas().to_numeric(column, errors="coerce")
    whole = numbers.where(numbers.isna() | (numbers % 1 == 0))
    return whole.astype("int64") if whole.notna().all() else whole


def _to_float(column: Any, wanted: Mapping[str, Any], out_of_range: str) -> Any:
    if wanted.get("decimal_mark") == "," and not pandas().api.types.is_numeric_dtype(column):
        column = column.astype(str).str.replace(".", "", regex=False).str.replace(",", ".", regex=False).where(column.notna())
    return pandas().to_numeric(column, errors="coerce").astype(float)


def _to_bool(column: Any, wanted: Mapping[str, Any], out_of_range: str) -> Any:
    known = column.astype(str).str.strip().str.lower().map({"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False})
    return known.astype(bool) if known.notna().all() else known.astype(object)


def _to_datetime(column: Any, wanted: Mapping[str, Any], out_of_range: str) -> Any:
    pd = pandas()
    if "datetime64" in str(column.dtype):
        return _naive(column)
    made: Any = None
    for form in wanted.get("formats") or ("ISO8601", "mixed"):
        found = _naive(pd.to_datetime(column, format=form, errors="coerce", utc=True))
        made = found if made is None else made.fillna(found)
    if out_of_range == "error":
        for text in column[column.notna() & made.isna()]:
            pd.Timestamp(text)  # raises what is wrong with it, if it is a time
    return made


_CONVERT: dict[str, Callable[[Any, Mapping[str, Any], str], Any]] = {
    "string": _to_string,
    "long": _to_long,
    "float": _to_float,
    "bool": _to_bool,
    "datetime": _to_datetime,
}


def _check_columns(field: str, columns: Iterable[str], frame: Frame) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UserErrorException(
            f"{field}: there is no column {', '.join(map(repr, missing))}. There are: {', '.join(map(str, frame.columns))}."
        )


def _keep(frame: Frame, step: Step) -> Frame:
    _check_columns("columns", step["columns"], frame)
    return frame[step["columns"]]


def _drop(frame: Frame, step: Step) -> Frame:
    return frame.drop(columns=[name for name in step["columns"] if name in frame.columns])


def _draws(frame: Frame, step: Step) -> Any:
    """One number from 0 to 1 a row; this generator's numbers are the same in every version of numpy."""
    import numpy

    return numpy.random.RandomState(step["seed"]).random_sample(len(frame))


def _filtered(frame: Frame, step: Step) -> Frame:
    def look_up(kind: str, name: str) -> Any:
        if kind != "column":
            raise UserErrorException("expression: rows have no file metadata. Give include_path=True and compare the column Path.")
        _check_columns("expression", [name], frame)
        return frame[name]

    met = expressions.evaluate(step["expression"], look_up)
    return frame[met.astype("boolean").fillna(False).astype(bool)]


def _in_time(frame: Frame, step: Step) -> Frame:
    name = step["column"]
    _check_columns("timestamp", [name], frame)
    times = frame[name] if "datetime64" in str(frame[name].dtype) else _to_datetime(frame[name], {}, "null")
    met = times.notna()
    for bound in ("start", "end"):
        if step.get(bound):
            left, right = expressions.alike(times, datetime.fromisoformat(step[bound]))
            met &= left > right if bound == "start" else left < right
            met |= (left == right) if step["include"] else False
    return frame[met]


_STEPS: dict[str, Callable[[Frame, Step], Frame]] = {
    "take": lambda frame, step: frame.iloc[: step["count"]],
    "skip": lambda frame, step: frame.iloc[step["count"] :],
    "sample": lambda frame, step: frame[_draws(frame, step) < step["probability"]],
    "split": lambda frame, step: frame[(_draws(frame, step) >= step["percentage"]) == bool(step["part"])],
    "keep_columns": _keep,
    "drop_columns": _drop,
    "filter": _filtered,
    "timestamps": lambda frame, step: frame,
    "time": _in_time,
}
