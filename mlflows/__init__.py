"""mlflows: Azure ML SDK v1 training code on your own machines, as Prefect flows with MLflow as run history.

Importing it costs milliseconds and needs only the standard library: each name is imported when first used.
Standard library only, Python 3.6 syntax: a training job may import it on an old interpreter.
"""

import os
import sys

from mlflows._lazy import OLDEST, lazy

__version__ = "0.1.0"

_IN_JOB = "MLFLOWS_JOB_FOLDER" in os.environ
_BY_MAILBOX = _IN_JOB and sys.version_info < OLDEST

NAMES = {
    "Run": "mlflows.job.run:Run" if _IN_JOB else "mlflows.history.run:Run",
    "ScriptRun": "mlflows.history.run:ScriptRun",
    "RunDetails": "mlflows.history.details:RunDetails",
    "Workspace": "mlflows.workspace:Workspace",
    "Experiment": "mlflows.experiment:Experiment",
    "ScriptRunConfig": "mlflows.config.script_run_config:ScriptRunConfig",
    "RunConfiguration": "mlflows.config.run_configuration:RunConfiguration",
    "MpiConfiguration": "mlflows.config.distributed:MpiConfiguration",
    "PyTorchConfiguration": "mlflows.config.distributed:PyTorchConfiguration",
    "TensorflowConfiguration": "mlflows.config.distributed:TensorflowConfiguration",
    "DockerConfiguration": "mlflows.config.sections:DockerConfiguration",
    "Environment": "mlflows.environments.environment:Environment",
    "MlflowsEnvironment": "mlflows.environments.block:MlflowsEnvironment",
    "CondaDependencies": "mlflows.environments.conda_dependencies:CondaDependencies",
    "Datastore": "mlflows.job.datastores:Datastore" if _BY_MAILBOX else "mlflows.data.datastore:Datastore",
    "Dataset": "mlflows.job.datasets:Dataset" if _BY_MAILBOX else "mlflows.data.dataset:Dataset",
    "DataPath": "mlflows.data.datapath:DataPath",
    "DataReference": "mlflows.data.data_reference:DataReference",
    "OutputFileDatasetConfig": "mlflows.data.output_dataset_config:OutputFileDatasetConfig",
    "MlflowsDataset": "mlflows.data.dataset_block:MlflowsDataset",
    "MlflowsS3Datastore": "mlflows.data.datastore_block:MlflowsS3Datastore",
    "MlflowsFolderDatastore": "mlflows.data.datastore_block:MlflowsFolderDatastore",
    "MlflowsUrlDatastore": "mlflows.data.datastore_block:MlflowsUrlDatastore",
    "MlflowsDatastoreAlias": "mlflows.data.datastore_block:MlflowsDatastoreAlias",
    "script_run": "mlflows.flows.script_run:script_run",
}

lazy(__name__, NAMES)
