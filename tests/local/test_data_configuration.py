"""Data of a run that is given by name: looked up on a real Prefect server when the run is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conftest import Services
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.config.sections import Data, DataLocation, DataReferenceConfiguration, RegisteredDataset
from mlflows.data.abstract_dataset import AbstractDataset
from mlflows.data.dataset import Dataset
from mlflows.data.dataset_consumption_config import DatasetConsumptionConfig
from mlflows.data.datastore_kinds import LocalFolderDatastore
from mlflows.exceptions import UserErrorException
from mlflows.experiment import Experiment
from mlflows.workspace import Workspace


@pytest.fixture(scope="module")
def ws(services: Services) -> Workspace:
    return Workspace.get("data-configuration")


@pytest.fixture(scope="module")
def versions(ws: Workspace) -> list[AbstractDataset]:
    """Two versions of ``people``, files."""
    store = ws.get_default_datastore()
    assert isinstance(store, LocalFolderDatastore)
    for number in (1, 2):
        (store.root / str(number)).mkdir(parents=True)
        (store.root / str(number) / "a.csv").write_text("x\n1\n")
    made = [Dataset.File.from_files((store, str(number))) for number in (1, 2)]
    return [each.register(ws, "people", create_new_version=True) for each in made]


def inputs_of(ws: Workspace, folder: Path, arguments: list[Any] | None = None, **sections: Any) -> dict[str, Any]:
    (folder / "train.py").write_text("print(1)\n")
    config = ScriptRunConfig(folder, "train.py", arguments)
    for name, value in sections.items():
        setattr(config.run_config, name, value)
    found = Experiment(ws, "e").render(config).get("inputs", {})
    assert isinstance(found, dict)
    return found


def test_by_name_and_version(ws: Workspace, versions: list[AbstractDataset], tmp_path: Path) -> None:
    newest, first = DatasetConsumptionConfig("n", (ws, "people"), "mount"), DatasetConsumptionConfig("f", (ws, "people", 1))
    found = inputs_of(ws, tmp_path, [newest, first])
    assert [(its["id"], its["name"], its["version"], its["mode"]) for its in found.values()] == [
        (versions[1].id, "people", 2, "mount"),
        (versions[0].id, "people", 1, "direct"),
    ]
    assert found["n"]["definition"] == versions[1]._definition.to_dict()


def test_a_registered_one_as_an_object(ws: Workspace, versions: list[AbstractDataset], tmp_path: Path) -> None:
    (name,) = inputs_of(ws, tmp_path, [ws.datasets["people"]])
    assert name == f"input__{str(versions[1].id)[:8]}"


def test_in_a_section_by_id_and_by_name(ws: Workspace, versions: list[AbstractDataset], tmp_path: Path) -> None:
    by_id = Data(DataLocation(RegisteredDataset(versions[0].id)), mechanism="mount")
    by_name = {"dataLocation": {"dataset": {"name": "people", "version": "2"}}, "mechanism": "Download"}
    found = inputs_of(ws, tmp_path, data={"a": by_id, "b": by_name, "c": Data.create(versions[0])})
    assert [(its["id"], its["mode"]) for its in found.values()] == [
        (versions[0].id, "mount"),
        (versions[1].id, "download"),
        (versions[0].id, "mount"),
    ]


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"data": {"d": Data({"dataset": {"name": "pepole"}})}}, r"data\['d'\]: There is no dataset 'pepole' .*There are: .*people"),
        ({"data": {"d": Data({"dataset": {"id": "x"}})}}, r"data\['d'\]: id: 'x' is not the id of a dataset"),
        (
            {"data_references": {"d": DataReferenceConfiguration("nowhere")}},
            r"\['d'\]: .* has no datastore 'nowhere'. There are: workspaceb",
        ),
    ],
)
def test_what_is_not_there(ws: Workspace, versions: list[AbstractDataset], tmp_path: Path, sections: dict[str, Any], says: str) -> None:
    with pytest.raises(UserErrorException, match=says):
        inputs_of(ws, tmp_path, **sections)


def test_a_table_that_is_to_be_mounted_is_found_at_submit(ws: Workspace, versions: list[AbstractDataset], tmp_path: Path) -> None:
    Dataset.Tabular.from_delimited_files((ws.get_default_datastore(), "1")).register(ws, "table")
    with pytest.raises(UserErrorException, match=r"arguments\[0\]: mode: a TabularDataset cannot be an input by mount"):
        inputs_of(ws, tmp_path, [DatasetConsumptionConfig("d", (ws, "table"), "mount")])
