"""The Prefect block that one version of a registered environment is kept in."""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl


class MlflowsEnvironment(Block):
    """One version of a registered environment: what `Environment.register(workspace)` writes and `Environment.get` reads.

    The document's name is made of the environment's name and the version; a definition is not changed after it was registered.

    Example:
        Look at a registered environment:
        ```python
        from mlflows import MlflowsEnvironment

        environment = MlflowsEnvironment.load("BLOCK_NAME")
        print(environment.environment_name, environment.environment_version)
        ```
    """

    _block_type_name = "mlflows Environment"
    _block_type_slug = "mlflows-environment"  # registry.KIND
    _description = "One version of a registered environment: the packages or the image that a training script runs in."
    _logo_url = HttpUrl("https://raw.githubusercontent.com/mlflows/mlflows/main/docs/images/environment.png")
    _documentation_url = HttpUrl("https://github.com/mlflows/mlflows/tree/main/docs")

    environment_name: str = Field(description="Exact name of the environment.")
    environment_version: str = Field(description="Version, a whole number from 1.")
    definition: dict[str, Any] = Field(
        default_factory=dict, description="The whole definition, in the form of azureml_environment.json; secrets are references."
    )
    labels: list[str] = Field(default_factory=list, description="Labels by which this version can be asked for.")
