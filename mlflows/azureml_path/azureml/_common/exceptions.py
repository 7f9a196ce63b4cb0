"""azureml._common.exceptions."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "AzureMLException": "mlflows.exceptions:AzureMLException",
    },
)
