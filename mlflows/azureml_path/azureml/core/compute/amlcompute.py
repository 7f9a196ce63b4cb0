"""azureml.core.compute.amlcompute."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "AmlCompute": "mlflows.compute.targets:AmlCompute",
    },
)
