"""azureml.data.abstract_dataset."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "AbstractDataset": _targets.DATASETS["AbstractDataset"],
    },
)
