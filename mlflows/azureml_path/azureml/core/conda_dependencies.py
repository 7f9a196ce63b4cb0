"""azureml.core.conda_dependencies."""

from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "CondaDependencies": "mlflows.environments.conda_dependencies:CondaDependencies",
        "PYTHON_DEFAULT_VERSION": "mlflows.environments.conda_dependencies:PYTHON_DEFAULT_VERSION",
        "DEFAULT_PIP_PACKAGE": "mlflows.environments.conda_dependencies:DEFAULT_PIP_PACKAGE",
    },
)
