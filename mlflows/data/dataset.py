"""Dataset: where datasets are made and found."""

from __future__ import annotations

from mlflows.data.abstract_dataset import AbstractDataset
from mlflows.data.dataset_factory import FileDatasetFactory, TabularDatasetFactory
from mlflows.data.file_dataset import FileDataset
from mlflows.data.tabular_dataset import TabularDataset

__all__ = ["AbstractDataset", "Dataset", "FileDataset", "TabularDataset"]


class Dataset(AbstractDataset):
    """``Dataset.File`` and ``Dataset.Tabular`` make datasets; ``get_by_name``, ``get_by_id`` and ``get_all`` find registered ones."""

    File = FileDatasetFactory
    Tabular = TabularDatasetFactory
