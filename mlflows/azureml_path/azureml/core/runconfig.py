"""azureml.core.runconfig."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "RunConfiguration": "mlflows.config.run_configuration:RunConfiguration",
        "EnvironmentDefinition": "mlflows.config.run_configuration:EnvironmentDefinition",
        "DockerConfiguration": "mlflows.config.sections:DockerConfiguration",
        "HistoryConfiguration": "mlflows.config.sections:HistoryConfiguration",
        "DataReferenceConfiguration": "mlflows.config.sections:DataReferenceConfiguration",
        "Data": "mlflows.config.sections:Data",
        "OutputData": "mlflows.config.sections:OutputData",
        "DataLocation": "mlflows.config.sections:DataLocation",
        "Dataset": "mlflows.config.sections:RegisteredDataset",
        "AmlComputeConfiguration": "mlflows.config.sections:AmlComputeConfiguration",
        "KubernetesComputeConfiguration": "mlflows.config.sections:KubernetesComputeConfiguration",
        "SparkConfiguration": "mlflows.config.sections:SparkConfiguration",
        "HdiConfiguration": "mlflows.config.sections:HdiConfiguration",
        "ApplicationEndpointConfiguration": "mlflows.config.sections:ApplicationEndpointConfiguration",
        "ParallelTaskConfiguration": "mlflows.config.sections:ParallelTaskConfiguration",
        "MpiConfiguration": "mlflows.config.distributed:MpiConfiguration",
        "PyTorchConfiguration": "mlflows.config.distributed:PyTorchConfiguration",
        "TensorflowConfiguration": "mlflows.config.distributed:TensorflowConfiguration",
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
