"""azureml.data.file_dataset."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "FileDataset": "mlflows.data.dataset:FileDataset",
    },
)
