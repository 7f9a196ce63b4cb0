"""A table as a Parquet file that any pandas reads: a program of its own. Its work is on standard input, as JSON; see main."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import datetime
from typing import Any

from mlflows.data import tables
from mlflows.data.definition import DataFile, Definition
from mlflows.data.local_store import LocalStore
from mlflows.data.store import Item
from mlflows.exceptions import AzureMLException, UserErrorException

REFUSED = 3
"""Exit code with the error's type and message on standard output."""


def main() -> int:
    """Read ``definition``, ``folder`` with the ``files`` (name, values), ``on_error``, ``out_of_range_datetime``; write to ``path``."""
    work = json.load(sys.stdin)
    try:
        definition, store = Definition.from_dict(work["definition"]), LocalStore(work["folder"])
        files = [DataFile(each["name"], store, _item(work["folder"], each["name"]), _values(each["values"])) for each in work["files"]]
        tables.pandas()
        frame = tables.table_of(definition, files, work["on_error"], work["out_of_range_datetime"])
        _write(frame, work["path"])
    except AzureMLException as error:
        print(json.dumps({"type": type(error).__name__, "message": error.message}))
        return REFUSED
    return 0


def _item(folder: str, name: str) -> Item:
    return Item(name, os.stat(os.path.join(folder, name)).st_size, "")


def _values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else datetime.fromisoformat(value["time"]) for name, value in values.items()}


def _write(frame: Any, path: str) -> None:
    """In the oldest form of Parquet and without a description for pandas, whose newer ones older ones do not understand."""
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = pyarrow.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (ValueError, TypeError) as error:  # pyarrow's errors, too
        raise UserErrorException(f"The table cannot be handed over as Parquet: {error}.") from error
    making = f"{path}.{os.getpid()}.making"  # one whose runner was killed may be at it, too
    try:
        parquet.write_table(table, making, version="1.0", store_schema=False, coerce_timestamps="us", allow_truncated_timestamps=True)
        os.replace(making, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(making)
        raise


if __name__ == "__main__":
    sys.exit(main())
