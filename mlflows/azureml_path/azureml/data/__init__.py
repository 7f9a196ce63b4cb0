"""azureml.data."""

from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(
    __name__,
    {
        "DataReference": "mlflows.data.data_reference:DataReference",
    },
)
