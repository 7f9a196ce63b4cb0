"""azureml.core.authentication."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "AbstractAuthentication": "mlflows.authentication:AbstractAuthentication",
        "InteractiveLoginAuthentication": "mlflows.authentication:InteractiveLoginAuthentication",
        "AzureCliAuthentication": "mlflows.authentication:AzureCliAuthentication",
        "ServicePrincipalAuthentication": "mlflows.authentication:ServicePrincipalAuthentication",
        "MsiAuthentication": "mlflows.authentication:MsiAuthentication",
        "TokenAuthentication": "mlflows.authentication:TokenAuthentication",
        "AuthenticationException": "mlflows.exceptions:AuthenticationException",
    },
)
