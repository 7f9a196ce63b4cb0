"""azureml.data.dataset_factory."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "FileDatasetFactory": "mlflows.data.dataset_factory:FileDatasetFactory",
        "TabularDatasetFactory": "mlflows.data.dataset_factory:TabularDatasetFactory",
        "DataType": "mlflows.data.data_type:DataType",
    },
)
