"""azureml.data."""

from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(
    __name__,
    {
        "DataType": "mlflows.data.data_type:DataType",
        "FileDataset": "mlflows.data.dataset:FileDataset",
        "TabularDataset": "mlflows.data.dataset:TabularDataset",
        "DataReference": "mlflows.data.data_reference:DataReference",
    },
)
