"""azureml.data.file_dataset."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "FileDataset": "mlflows.data.file_dataset:FileDataset",
    },
)
