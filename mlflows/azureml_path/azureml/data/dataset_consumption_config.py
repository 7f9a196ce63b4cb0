"""azureml.data.dataset_consumption_config."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "DatasetConsumptionConfig": "mlflows.data.dataset_consumption_config:DatasetConsumptionConfig",
    },
)
