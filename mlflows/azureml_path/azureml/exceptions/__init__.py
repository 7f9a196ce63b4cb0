"""azureml.exceptions."""

from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(
    __name__,
    {
        "AzureMLException": "mlflows.exceptions:AzureMLException",
        "UserErrorException": "mlflows.exceptions:UserErrorException",
        "AuthenticationException": "mlflows.exceptions:AuthenticationException",
        "RunConfigurationException": "mlflows.exceptions:RunConfigurationException",
        "ExperimentExecutionException": "mlflows.exceptions:ExperimentExecutionException",
        "ActivityFailedException": "mlflows.exceptions:ActivityFailedException",
        "SnapshotException": "mlflows.exceptions:SnapshotException",
        "RunEnvironmentException": "mlflows.exceptions:RunEnvironmentException",
        "TrainingException": "mlflows.exceptions:TrainingException",
        "ComputeTargetException": "mlflows.exceptions:ComputeTargetException",
        "WorkspaceException": "mlflows.exceptions:WorkspaceException",
        "WebserviceException": "mlflows.exceptions:WebserviceException",
        "ModelNotFoundException": "mlflows.exceptions:ModelNotFoundException",
        "ModelPathNotFoundException": "mlflows.exceptions:ModelPathNotFoundException",
        "ProjectSystemException": "mlflows.exceptions:ProjectSystemException",
        "DiscoveryUrlNotFoundException": "mlflows.exceptions:DiscoveryUrlNotFoundException",
        "DatasetTimestampMissingError": "mlflows.exceptions:DatasetTimestampMissingError",
        "ParallelRunException": "mlflows.exceptions:ParallelRunException",
        "AzureMLAggregatedException": "mlflows.exceptions:AzureMLAggregatedException",
        "ServiceException": "mlflows.exceptions:ServiceException",
        "WorkspacePrivateEndpointException": "mlflows.exceptions:WorkspacePrivateEndpointException",
    },
)
