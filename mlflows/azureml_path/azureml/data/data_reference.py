"""azureml.data.data_reference."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "DataReference": "mlflows.data.data_reference:DataReference",
    },
)
