"""azureml.data.tabular_dataset."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "TabularDataset": "mlflows.data.dataset:TabularDataset",
    },
)
