"""Registered datasets: the block, names, mistakes that are found before a server is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from mlflows import MlflowsDataset, blocks
from mlflows.data import dataset_registry
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import LocalFolderDatastore
from mlflows.exceptions import ServiceException, UserErrorException

from .conftest import Team

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits here for a server that is not there."""
    monkeypatch.setattr(blocks, "_PAUSES", (0.0,))


class TestBlock(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[MlflowsDataset]:
        return MlflowsDataset

    def test_has_a_valid_image(self, block: type[MlflowsDataset]) -> None:
        """As the suite's, of the file in this repository that the address means."""
        from PIL import Image

        path = ROOT / urlsplit(str(block._logo_url)).path.partition("/main/")[2]
        with Image.open(path) as image:
            assert image.width == image.height and 45 < image.width < 1000

    def test_slug_never_changes(self, block: type[MlflowsDataset]) -> None:
        assert block.get_block_type_slug() == dataset_registry.KIND == "mlflows-dataset"


@given(st.text(min_size=1, max_size=80), st.integers(1, 10**6))
def test_block_names(name: str, version: int) -> None:
    made = dataset_registry.block_name("team", name, version)
    assert re.fullmatch(rf"[a-z0-9][a-z0-9-]{{0,60}}-[0-9a-f]{{8}}-{version}", made)
    assert made != dataset_registry.block_name("team", name + "!", version)
    assert made != dataset_registry.block_name("other", name, version)


@pytest.mark.parametrize("name", [None, 3, "", " ", " x", "x ", "a\nb", "a\0b", "x" * 256])
def test_bad_names(ws: Team, filled: LocalFolderDatastore, name: Any) -> None:
    dataset = Dataset.File.from_files((filled, "img"))
    for call in (lambda: dataset.register(ws, name), lambda: Dataset.get_by_name(ws, name)):
        with pytest.raises(UserErrorException, match="name: .* is not the name of a dataset"):
            call()


@pytest.mark.parametrize("version", [0, -1, 1.5, "x", "1.0", True, [], ""])
def test_bad_versions(ws: Team, version: Any) -> None:
    with pytest.raises(UserErrorException, match="version: .* is neither a whole number from 1 nor 'latest'"):
        Dataset.get_by_name(ws, "x", version)


@pytest.mark.parametrize("id", [None, 3, "", "x", "../flows", "1234"])
def test_bad_ids(ws: Team, id: Any) -> None:
    with pytest.raises(UserErrorException, match="id: .* is not the id of a dataset"):
        Dataset.get_by_id(ws, id)


@pytest.mark.parametrize("workspace", [None, "team", 3])
def test_no_workspace(filled: LocalFolderDatastore, workspace: Any) -> None:
    for call in (
        lambda: Dataset.File.from_files((filled, "img")).register(workspace, "x"),
        lambda: Dataset.get_by_name(workspace, "x"),
        lambda: Dataset.get_by_id(workspace, "x"),
        lambda: Dataset.get_all(workspace),
    ):
        with pytest.raises(UserErrorException, match="workspace: expected a Workspace"):
            call()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"description": 3}, "description: expected text"),
        ({"tags": "x"}, "tags: expected a dict"),
        ({"tags": {"a": 1}}, "tags: expected a dict"),
        ({"tags": {1: "a"}}, "tags: expected a dict"),
        ({"create_new_version": "yes"}, "create_new_version: expected True or False"),
    ],
)
def test_bad_arguments(ws: Team, filled: LocalFolderDatastore, change: dict[str, Any], says: str) -> None:
    with pytest.raises(UserErrorException, match=says):
        Dataset.File.from_files((filled, "img")).register(ws, "x", **change)


def test_more_arguments(ws: Team) -> None:
    for call in (lambda: Dataset.get_by_name(ws, "x", label="y"), lambda: Dataset.get_by_id(ws, "x", label="y")):
        with pytest.raises(UserErrorException, match="label: not an argument of a dataset that is looked up"):
            call()


def test_in_another_workspace(filled: LocalFolderDatastore) -> None:
    class Other(Team):
        name = "other"

    with pytest.raises(UserErrorException, match="files are in a datastore of workspace 'team'. Register it there"):
        Dataset.File.from_files((filled, "img")).register(Other(), "x")


def test_a_server_that_is_away(ws: Team, filled: LocalFolderDatastore) -> None:
    with pytest.raises(ServiceException, match="No answer from the Prefect server"):
        Dataset.File.from_files((filled, "img")).register(ws, "x")
