"""azureml.core.compute."""

from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(
    __name__,
    {
        "ComputeTarget": "mlflows.compute.targets:ComputeTarget",
        "AmlCompute": "mlflows.compute.targets:AmlCompute",
        "ComputeInstance": "mlflows.compute.targets:ComputeInstance",
        "KubernetesCompute": "mlflows.compute.targets:KubernetesCompute",
    },
)
