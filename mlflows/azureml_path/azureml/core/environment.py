"""azureml.core.environment."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Environment": "mlflows.environments.environment:Environment",
        "EnvironmentReference": "mlflows.environments.environment:EnvironmentReference",
        "PythonSection": "mlflows.environments.sections:PythonSection",
        "DockerSection": "mlflows.environments.sections:DockerSection",
        "DockerBuildContext": "mlflows.environments.sections:DockerBuildContext",
        "SparkSection": "mlflows.environments.sections:SparkSection",
        "ContainerRegistry": "mlflows.environments.sections:ContainerRegistry",
        "DEFAULT_CPU_IMAGE": "mlflows.environments.sections:DEFAULT_CPU_IMAGE",
        "DEFAULT_GPU_IMAGE": "mlflows.environments.sections:DEFAULT_GPU_IMAGE",
        "CondaDependencies": "mlflows.environments.conda_dependencies:CondaDependencies",
    },
)
