"""Tables that are made in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlflows.data.dataset import Dataset
from mlflows.exceptions import AzureMLException
from mlflows.flows import data_answers, frame_file


@pytest.fixture
def work(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x\n1\n")
    definition = Dataset.Tabular.from_delimited_files(str(tmp_path / "data" / "a.csv"))._definition.to_dict()
    files = [{"name": "a.csv", "values": {}}]
    options = {"on_error": "null", "out_of_range_datetime": "null"}
    return {"definition": definition, "folder": str(tmp_path / "data"), "files": files, "path": str(tmp_path / "table"), **options}


def test_an_orphan_that_writes_the_same_table_is_left_alone(tmp_path: Path, work: dict[str, Any]) -> None:
    """It goes on when the runner that asked for it was killed; the next runner asks for the table, too."""
    (tmp_path / "table.making").write_text("half a table of the orphan")
    subprocess.run([sys.executable, "-m", frame_file.__name__], input=json.dumps(work), text=True, check=True, timeout=120)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "table", "table.making"]
    assert (tmp_path / "table.making").read_text() == "half a table of the orphan"


def test_nothing_stays_of_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    pandas = pytest.importorskip("pandas")

    def write(table: object, path: str, **more: object) -> None:
        Path(path).write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(parquet, "write_table", write)
    with pytest.raises(OSError, match="No space left"):
        frame_file._write(pandas.DataFrame({"x": [1]}), str(tmp_path / "table"))
    assert list(tmp_path.iterdir()) == []


def test_memory_that_runs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(AzureMLException, match=r"its process was killed \(-9\)\. Memory may have run out: .*keep_columns"):
        data_answers._write_table({})
