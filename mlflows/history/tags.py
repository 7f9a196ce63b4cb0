"""Names of the MLflow tags that carry what SDK v1 knows about a run and MLflow has no field for."""

from __future__ import annotations

PREFIX = "mlflows."

RUN_ID = "mlflows.run_id"
STATUS = "mlflows.status"
"""SDK v1's word; see history.status."""
WORKSPACE = "mlflows.workspace"
EXPERIMENT = "mlflows.experiment"
TARGET = "mlflows.target"
ATTEMPT = "mlflows.attempt"
FLOW_RUN_ID = "mlflows.flow_run_id"
PREFECT_URL = "mlflows.prefect_url"
HOST = "mlflows.host"
"""Host name of the machine that has the job folder."""
JOB_FOLDER = "mlflows.job_folder"
ENVIRONMENT_VERSION = "mlflows.environment_version"
"""Version under which the run's environment is registered."""
OUTPUT_DATASETS = "mlflows.output_datasets"
"""JSON list of the datasets that the run has registered: ``output``, ``id``, ``name``, ``version``."""
SNAPSHOT_ID = "mlflows.snapshot_id"
ERROR = "mlflows.error"
"""JSON with at least ``code`` and ``message``."""
TYPE = "mlflows.type"
NUMBER = "mlflows.number"
METRICS = "mlflows.metrics"
"""The shapes of the metrics as JSON where they are short, else the word ``artifact``."""
PROPERTY_PREFIX = "mlflows.property."

METRICS_IN_ARTIFACT = "artifact"
METRICS_ARTIFACT = "mlflows/metrics.json"
DEFINITION_ARTIFACT = "mlflows/run_definition.json"
OWN_ARTIFACTS = "mlflows/"
"""Artifacts under it are ours: ``get_file_names`` does not show them."""

RUN_NAME = "mlflow.runName"
PARENT_RUN_ID = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
GIT_COMMIT = "mlflow.source.git.commit"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
"""MLflow's list of table artifacts; its UI shows the tables named in it."""


def user_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags a person set: all without a prefix of MLflow's or ours."""
    return {key: value for key, value in tags.items() if not key.startswith(("mlflow.", PREFIX))}


def properties(tags: dict[str, str]) -> dict[str, str]:
    """SDK v1's properties of a run."""
    start = len(PROPERTY_PREFIX)
    return {key[start:]: value for key, value in tags.items() if key.startswith(PROPERTY_PREFIX)}
