"""What the details of a run say of its datasets."""

from __future__ import annotations

import json

import pytest

from mlflows.history import describe, tags
from mlflows.history.tracking import MlflowRun


def run_with(own: dict[str, str]) -> MlflowRun:
    return MlflowRun("r", "1", "FINISHED", 0, 1, "mlflow-artifacts:/1/r", "me", own, {}, {}, {})


def test_input_datasets() -> None:
    dataset = {"id": "an-id", "name": "people", "version": "2", "definition": {}}
    section = {"dataLocation": {"dataset": dataset, "dataPath": None}, "mechanism": "Mount", "pathOnCompute": "/d"}
    details = describe.details_of(run_with({}), {"data": {"d": section, "path": {"dataLocation": {"dataset": None}}}}, {})
    assert details["inputDatasets"] == [
        {
            "dataset": {"id": "an-id", "name": "people", "version": "2"},
            "consumptionDetails": {"type": "RunInput", "inputName": "d", "mechanism": "Mount", "pathOnCompute": "/d"},
        }
    ]


def test_output_datasets() -> None:
    registered = [{"output": "o", "id": "an-id", "name": "people", "version": 2}]
    assert describe.output_datasets(run_with({tags.OUTPUT_DATASETS: json.dumps(registered)})) == [
        {
            "identifier": {"savedId": "an-id"},
            "outputType": "RunOutput",
            "outputDetails": {"outputName": "o"},
            "dataset": {"id": "an-id", "name": "people", "version": 2},
        }
    ]


@pytest.mark.parametrize("own", [{}, {tags.OUTPUT_DATASETS: ""}, {tags.OUTPUT_DATASETS: "cut off ["}])
def test_none(own: dict[str, str]) -> None:
    details = describe.details_of(run_with(own), {}, {})
    assert (details["inputDatasets"], details["outputDatasets"]) == ([], [])
