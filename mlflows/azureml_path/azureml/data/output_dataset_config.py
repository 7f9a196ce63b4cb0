"""azureml.data.output_dataset_config."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "OutputDatasetConfig": "mlflows.data.output_dataset_config:OutputDatasetConfig",
        "OutputFileDatasetConfig": "mlflows.data.output_dataset_config:OutputFileDatasetConfig",
        "OutputTabularDatasetConfig": "mlflows.data.output_dataset_config:OutputTabularDatasetConfig",
    },
)
