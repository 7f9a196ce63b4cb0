"""azureml.data."""

from azureml import _targets  # type: ignore[import-not-found]
from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(
    __name__,
    {
        "DataType": "mlflows.data.data_type:DataType",
        "FileDataset": _targets.DATASETS["FileDataset"],
        "TabularDataset": _targets.DATASETS["TabularDataset"],
        "DataReference": "mlflows.data.data_reference:DataReference",
        "OutputFileDatasetConfig": "mlflows.data.output_dataset_config:OutputFileDatasetConfig",
    },
)
