"""azureml.core.workspace."""

from azureml import _targets
from mlflows._lazy import lazy

lazy(
    __name__,
    {
        "Workspace": _targets.WORKSPACE,
    },
)
