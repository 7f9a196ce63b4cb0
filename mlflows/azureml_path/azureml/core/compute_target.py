"""azureml.core.compute_target."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "ComputeTarget": "mlflows.compute.targets:ComputeTarget",
        "AmlCompute": "mlflows.compute.targets:AmlCompute",
        "ComputeInstance": "mlflows.compute.targets:ComputeInstance",
        "KubernetesCompute": "mlflows.compute.targets:KubernetesCompute",
        "ComputeTargetException": "mlflows.exceptions:ComputeTargetException",
    },
)
