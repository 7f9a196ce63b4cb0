"""The Prefect blocks that registered datastores are kept in."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl, SecretStr

_LOGO = HttpUrl("https://raw.githubusercontent.com/mlflows/mlflows/main/docs/images/datastore.png")
_DOCUMENTATION = HttpUrl("https://github.com/mlflows/mlflows/blob/main/docs/data.md")


class MlflowsS3Datastore(Block):
    """A bucket of S3, or of a server that speaks S3's language: what `Datastore.register_s3` writes and `Datastore.get` reads.

    Example:
        Look at a registered datastore:
        ```python
        from mlflows import MlflowsS3Datastore

        datastore = MlflowsS3Datastore.load("BLOCK_NAME")
        print(datastore.datastore_name, datastore.bucket)
        ```
    """

    _block_type_name = "mlflows S3 Datastore"
    _block_type_slug = "mlflows-s3-datastore"  # datastore_registry.S3
    _description = "A datastore of a workspace: a bucket of S3, or of a server that speaks S3's language."
    _logo_url = _LOGO
    _documentation_url = _DOCUMENTATION

    workspace_name: str = Field(description="Workspace that the datastore belongs to.")
    datastore_name: str = Field(description="Name of the datastore.")
    bucket: str = Field(description="Name of the bucket.")
    endpoint: str | None = Field(default=None, description="Address of the server; that of AWS if none.")
    region: str | None = Field(default=None, description="Region of the bucket.")
    access_key_id: str | None = Field(default=None, description="Access key; without one, what the environment of the process says.")
    secret_access_key: SecretStr | None = Field(default=None, description="Secret key.")
    session_token: SecretStr | None = Field(default=None, description="Token of temporary keys.")
    path_style: bool | None = Field(default=None, description="Bucket in the path of addresses; if not said: where an endpoint is given.")
    anonymous: bool = Field(default=False, description="Ask without signing: for public buckets.")
    encryption: str | None = Field(default=None, description="AES256, aws:kms, or aws:kms:<key>: how the server is asked to encrypt.")


class MlflowsFolderDatastore(Block):
    """A folder of a machine or a shared volume: what `Datastore.register_local_folder` writes and `Datastore.get` reads.

    Example:
        Look at a registered datastore:
        ```python
        from mlflows import MlflowsFolderDatastore

        datastore = MlflowsFolderDatastore.load("BLOCK_NAME")
        print(datastore.datastore_name, datastore.folder)
        ```
    """

    _block_type_name = "mlflows Folder Datastore"
    _block_type_slug = "mlflows-folder-datastore"  # datastore_registry.FOLDER
    _description = "A datastore of a workspace: a folder of a machine, or a shared volume."
    _logo_url = _LOGO
    _documentation_url = _DOCUMENTATION

    workspace_name: str = Field(description="Workspace that the datastore belongs to.")
    datastore_name: str = Field(description="Name of the datastore.")
    folder: str = Field(description="Absolute path; the same on all machines that use it.")


class MlflowsUrlDatastore(Block):
    """Any address that fsspec reads: what `Datastore.register_url` writes and `Datastore.get` reads.

    Example:
        Look at a registered datastore:
        ```python
        from mlflows import MlflowsUrlDatastore

        datastore = MlflowsUrlDatastore.load("BLOCK_NAME")
        print(datastore.datastore_name, datastore.url)
        ```
    """

    _block_type_name = "mlflows URL Datastore"
    _block_type_slug = "mlflows-url-datastore"  # datastore_registry.URL
    _description = "A datastore of a workspace: an address that fsspec reads, with its options."
    _logo_url = _LOGO
    _documentation_url = _DOCUMENTATION

    workspace_name: str = Field(description="Workspace that the datastore belongs to.")
    datastore_name: str = Field(description="Name of the datastore.")
    url: str = Field(description="Address of a folder, such as sftp://host/data or gs://bucket/folder.")
    storage_options: SecretStr = Field(default=SecretStr("{}"), description="fsspec's options for it, as JSON.")


class MlflowsDatastoreAlias(Block):
    """Another name of a datastore: what SDK v1's registrations of Azure storage write where the workspace says what is in its place.

    Example:
        Look at another name:
        ```python
        from mlflows import MlflowsDatastoreAlias

        alias = MlflowsDatastoreAlias.load("BLOCK_NAME")
        print(alias.datastore_name, alias.target)
        ```
    """

    _block_type_name = "mlflows Datastore Alias"
    _block_type_slug = "mlflows-datastore-alias"  # datastore_registry.ALIAS
    _description = "Another name of a datastore of a workspace."
    _logo_url = _LOGO
    _documentation_url = _DOCUMENTATION

    workspace_name: str = Field(description="Workspace that the datastore belongs to.")
    datastore_name: str = Field(description="This name.")
    target: str = Field(description="Name of the datastore that is meant.")


BLOCKS: dict[str, type[Block]] = {
    str(block._block_type_slug): block for block in (MlflowsS3Datastore, MlflowsFolderDatastore, MlflowsUrlDatastore, MlflowsDatastoreAlias)
}
"""By slug."""
