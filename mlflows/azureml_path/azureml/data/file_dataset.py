"""azureml.data.file_dataset."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "FileDataset": _targets.DATASETS["FileDataset"],
    },
)
