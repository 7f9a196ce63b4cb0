"""azureml.data.tabular_dataset."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "TabularDataset": _targets.DATASETS["TabularDataset"],
    },
)
