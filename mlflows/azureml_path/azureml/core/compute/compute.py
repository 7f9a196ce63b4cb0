"""azureml.core.compute.compute."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "ComputeTarget": "mlflows.compute.targets:ComputeTarget",
        "ComputeTargetException": "mlflows.exceptions:ComputeTargetException",
    },
)
