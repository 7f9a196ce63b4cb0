"""The Prefect block that one version of a registered dataset is kept in."""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl


class MlflowsDataset(Block):
    """One version of a registered dataset: what `dataset.register(workspace, name)` writes and `Dataset.get_by_name` reads.

    It says where the files are and what is done with them; it holds no data and no keys. The document's name is made of the workspace,
    the dataset's name and the version; a definition is not changed after it was registered.

    Example:
        Look at a registered dataset:
        ```python
        from mlflows import MlflowsDataset

        dataset = MlflowsDataset.load("BLOCK_NAME")
        print(dataset.dataset_name, dataset.dataset_version, dataset.definition)
        ```
    """

    _block_type_name = "mlflows Dataset"
    _block_type_slug = "mlflows-dataset"  # dataset_registry.KIND
    _description = "One version of a registered dataset: where its files are, and how they are read."
    _logo_url = HttpUrl("https://raw.githubusercontent.com/mlflows/mlflows/main/docs/images/dataset.png")
    _documentation_url = HttpUrl("https://github.com/mlflows/mlflows/tree/main/docs")

    dataset_name: str = Field(description="Exact name of the dataset.")
    dataset_version: str = Field(description="Version, a whole number from 1.")
    workspace: str = Field(description="Name of the workspace whose datastores the definition means.")
    definition: dict[str, Any] = Field(default_factory=dict, description="Paths of the files, how they are read, and the steps after that.")
    description: str | None = Field(default=None, description="What the dataset is.")
    tags: dict[str, str] = Field(default_factory=dict, description="Names and values.")
