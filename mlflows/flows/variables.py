"""The environment variables a script sees (azureml-v1 names, and MLflow's own so that its calls land in the same run)."""

from __future__ import annotations

from mlflows.flows.answers import identity
from mlflows.history.runs import RunRef
from mlflows.settings import Servers
from mlflows.spec import JobSpec


def script_variables(run: RunRef, job: JobSpec, servers: Servers) -> dict[str, str]:
    """All but what depends on the rank or the home. The person's own come last and win."""
    workspace = identity(job.workspace)
    variables = {
        "AZUREML_RUN_ID": run.run_id,
        "AZUREML_ARM_SUBSCRIPTION": workspace["subscription_id"],
        "AZUREML_ARM_RESOURCEGROUP": workspace["resource_group"],
        "AZUREML_ARM_WORKSPACE_NAME": job.workspace,
        "AZUREML_ARM_PROJECT_NAME": job.experiment,
        "AZUREML_EXPERIMENT_ID": run.experiment_id,
        "AZUREML_WORKSPACE_ID": job.workspace,
        "AZUREML_SERVICE_ENDPOINT": servers.mlflow_ui_url,
        "AZUREML_FRAMEWORK": _FRAMEWORKS[job.distribution.kind],
        "AZUREML_COMMUNICATOR": job.distribution.backend,
        "AZUREML_NODE_COUNT": str(job.distribution.node_count),
        "MLFLOWS_EXPERIMENT": job.experiment,
        "MLFLOWS_EXPERIMENT_ID": run.experiment_id,
        "MLFLOW_TRACKING_URI": servers.mlflow_tracking_uri,
        "MLFLOW_RUN_ID": run.mlflow_run_id,
        "MLFLOW_EXPERIMENT_ID": run.experiment_id,
    }
    if job.parent_run_id:
        variables["MLFLOWS_PARENT_RUN_ID"] = job.parent_run_id
    return {**variables, **job.environment_variables}


_FRAMEWORKS = {"none": "Python", "mpi": "Python", "pytorch": "PyTorch", "tensorflow": "TensorFlow"}
