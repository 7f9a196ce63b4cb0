"""azureml.data.abstract_dataset."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "AbstractDataset": "mlflows.data.dataset:AbstractDataset",
    },
)
