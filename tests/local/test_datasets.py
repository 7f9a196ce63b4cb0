"""Registered datasets on a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest

from conftest import Services
from mlflows import blocks
from mlflows.data import dataset_registry
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import LocalFolderDatastore
from mlflows.data.file_dataset import FileDataset
from mlflows.data.tabular_dataset import TabularDataset
from mlflows.exceptions import UserErrorException
from mlflows.workspace import Workspace
from tests.support.at_once import shared_out

REGISTER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from azureml.core import Dataset, Workspace

ws = Workspace.get("datasets")
ws._prefect()

def register(count):
    dataset = Dataset.File.from_files((ws.get_default_datastore(), "x"), validate=False).take(count)
    return dataset.register(ws, sys.argv[1], create_new_version=True).version

print("ready", flush=True)
work = json.loads(sys.stdin.readline())
with ThreadPoolExecutor(len(work)) as pool:
    print(json.dumps(list(pool.map(register, work))))
"""


@pytest.fixture(scope="module")
def ws(services: Services) -> Workspace:
    return Workspace.get("datasets")


@pytest.fixture(scope="module")
def store(ws: Workspace) -> LocalFolderDatastore:
    found = ws.get_default_datastore()
    (found.root / "d").mkdir(parents=True)
    for number in range(3):
        (found.root / "d" / f"{number}.csv").write_text(f"x\n{number}\n")
    return found


@pytest.fixture
def name() -> str:
    return f"My data {uuid4().hex[:8]}"


def register_at_once(name: str, work: list[int], processes: int) -> list[int]:
    """Register datasets of these counts in several threads of several processes; their versions."""
    names = str(Path(__file__).parents[2] / "mlflows" / "azureml_path")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([names, str(Path(__file__).parents[2])])}
    return shared_out([sys.executable, "-c", REGISTER, name], work, processes, environment)


class TestVersions:
    def test_registered_and_found(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        made = Dataset.File.from_files((store, "d/*.csv")).take(2)
        registered = made.register(ws, name, description="what it is", tags={"a": "b"})
        assert made.name is None and (registered.name, registered.version, registered.description) == (name, 1, "what it is")
        for found in (
            Dataset.get_by_name(ws, name),
            Dataset.get_by_id(ws, str(registered.id)),
            ws.datasets[name],
            Dataset.get_all(ws)[name],
        ):
            assert isinstance(found, FileDataset) and found.to_path() == ["/0.csv", "/1.csv"]
            assert (found.id, found.name, found.version, found.tags) == (registered.id, name, 1, {"a": "b"})
        assert name in registered._repr_html_() and "version=1" in str(registered)
        assert registered.as_mount().name == registered.as_download().name == f"input__{str(registered.id)[:8]}"
        assert registered.take(1).name is None

    def test_versions(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        first, second = Dataset.File.from_files((store, "d")), Dataset.Tabular.from_delimited_files((store, "d"))
        assert first.register(ws, name).version == first.register(ws, name).version == 1
        assert Dataset.File.from_files((store, "d")).register(ws, name, create_new_version=True).version == 1
        with pytest.raises(
            UserErrorException, match="registered already, as version 1, with another definition. Give create_new_version=True"
        ):
            second.register(ws, name)
        assert second.register(ws, name, create_new_version=True).version == 2
        assert first.register(ws, name, create_new_version=True).version == 3
        for version, cls in ((1, FileDataset), ("2", TabularDataset), ("latest", FileDataset), (3, FileDataset)):
            assert isinstance(Dataset.get_by_name(ws, name, version=version), cls)
        with pytest.raises(UserErrorException, match="has no version 4. It has: 1, 2, 3"):
            Dataset.get_by_name(ws, name, 4)
        assert ws.datasets[name].version == 3

    def test_missing(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        Dataset.File.from_files((store, "d")).register(ws, name)
        with pytest.raises(UserErrorException, match=f"no dataset 'nonsense' in workspace 'datasets'. There are: .*{name}"):
            Dataset.get_by_name(ws, "nonsense")
        with pytest.raises(UserErrorException, match="no dataset with the id"):
            Dataset.get_by_id(ws, str(uuid4()))
        with pytest.raises(KeyError):
            ws.datasets["nonsense"]

    def test_another_workspace_has_its_own(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        mine = Dataset.File.from_files((store, "d")).register(ws, name)
        other = Workspace.get("others")
        assert name not in other.datasets
        with pytest.raises(UserErrorException, match="no dataset with the id .* in workspace 'others'"):
            Dataset.get_by_id(other, str(mine.id))
        theirs = Dataset.File.from_files(store.root / "d").take(1).register(other, name)
        assert theirs.version == 1 and Dataset.get_by_name(ws, name).to_path() != Dataset.get_by_name(other, name).to_path()

    def test_unregistered(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        dataset = Dataset.File.from_files((store, "d"))
        dataset.register(ws, name + "!")
        dataset.register(ws, name)
        registered = dataset.take(1).register(ws, name, create_new_version=True)
        registered.unregister_all_versions()
        assert registered.name is None and name not in ws.datasets and name + "!" in ws.datasets
        assert dataset.register(ws, name).version == 1


class TestTags:
    def test_added_removed_and_described(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        registered = Dataset.File.from_files((store, "d")).register(ws, name, tags={"a": "1", "b": "2"})
        registered.add_tags({"b": "3", "c": "4"})
        assert registered.tags == Dataset.get_by_name(ws, name).tags == {"a": "1", "b": "3", "c": "4"}
        registered.remove_tags(["a", "nonsense"])
        assert registered.tags == Dataset.get_by_name(ws, name).tags == {"b": "3", "c": "4"}
        registered.update(description="new")
        found = Dataset.get_by_name(ws, name)
        assert (found.description, found.tags, found.version) == ("new", {"b": "3", "c": "4"}, 1)
        again = Dataset.File.from_files((store, "d")).register(ws, name, tags={"z": "1"})
        assert (again.version, again.tags, again.description) == (1, {"z": "1"}, "new")

    def test_mistakes(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        registered = Dataset.File.from_files((store, "d")).register(ws, name)
        for call, says in (
            (lambda: registered.add_tags(["a"]), "tags: expected a dict"),  # type: ignore[arg-type]
            (lambda: registered.remove_tags("a"), "tags: expected a list"),  # type: ignore[arg-type]
            (lambda: registered.remove_tags([1]), "tags: expected a list"),  # type: ignore[list-item]
            (lambda: registered.update(description=3), "description: expected text"),  # type: ignore[arg-type]
            (lambda: registered.update(tags="a"), "tags: expected a dict"),  # type: ignore[arg-type]
        ):
            with pytest.raises(UserErrorException, match=says):
                call()


class TestAtOnce:
    def test_twenty_different_ones(self, ws: Workspace, name: str) -> None:
        assert sorted(register_at_once(name, [*range(20)], 4)) == [*range(1, 21)]
        counts = {Dataset.get_by_name(ws, name, version)._definition.steps[0]["count"] for version in range(1, 21)}
        assert counts == {*range(20)}

    def test_twenty_of_the_same(self, ws: Workspace, name: str) -> None:
        assert register_at_once(name, [1] * 20, 4) == [1] * 20


class TestDataframe:
    def test_every_call_is_a_version(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
        for version, part in ((1, frame), (2, frame[:1])):
            made = Dataset.Tabular.register_pandas_dataframe(part, (store, "frames"), name, show_progress=False, row_group_size=1)
            assert made.version == version
        assert Dataset.get_by_name(ws, name, 1).to_pandas_dataframe().equals(frame)
        assert len(Dataset.get_by_name(ws, name).to_pandas_dataframe()) == 1


class TestBlockType:
    def test_prefect_loads_what_is_registered(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        Dataset.File.from_files((store, "d")).register(ws, name)
        block = dataset_registry.block_name(ws.name, name, 1)
        code = f"from mlflows import MlflowsDataset; it = MlflowsDataset.load({block!r}); print(it.dataset_name, it.workspace)"
        environment = {**os.environ, "PREFECT_API_URL": ws._prefect().base_url}
        assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == f"{name} datasets"

    def test_on_a_server_that_does_not_know_the_type(self, ws: Workspace, store: LocalFolderDatastore, name: str) -> None:
        client = ws._prefect()
        Dataset.File.from_files((store, "d")).register(ws, name)
        kind = blocks.ask(client, "GET", f"/block_types/slug/{dataset_registry.KIND}")["id"]
        blocks.ask(client, "DELETE", f"/block_types/{kind}")  # and with it all that is registered
        assert ws.datasets == {}
        assert sorted(register_at_once(name, [1, 2, 3], 3)) == [1, 2, 3]
