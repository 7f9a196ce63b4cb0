"""azureml.core.datastore."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Datastore": "mlflows.data.datastore:Datastore",
    },
)
