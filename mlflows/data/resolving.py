"""From what a run's specification says of a dataset back to the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflows.data.abstract_dataset import AbstractDataset, HasPrefect
from mlflows.data.definition import Definition
from mlflows.data.file_dataset import FileDataset
from mlflows.data.tabular_dataset import TabularDataset

__all__ = ["FileDataset", "TabularDataset", "dataset_of"]


def dataset_of(workspace: HasPrefect | None, definition: Mapping[str, Any]) -> AbstractDataset:
    """The dataset of a definition as ``Definition.to_dict`` writes it. Nothing is looked up yet: its files are when they are asked for.

    Args:
        workspace: whose datastores the definition means; None: one that means none.
        definition: the definition.

    Raises:
        UserErrorException: it is of a newer version of this package, or damaged.
    """
    return AbstractDataset._of(Definition.from_dict(definition), {}, workspace)
