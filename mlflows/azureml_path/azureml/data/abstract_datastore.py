"""azureml.data.abstract_datastore."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "AbstractDatastore": "mlflows.data.datastore_kinds:AbstractDatastore",
    },
)
