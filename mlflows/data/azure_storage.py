"""SDK v1's registrations of Azure storage.

Where the workspace says which datastore is in the place of a container or share, that one gets the name as well; else the error says
what to do. config.json: ``"azure_storage": {"<account>/<container>": "<datastore>"}``.
"""

from __future__ import annotations

from typing import Any, NoReturn

from mlflows.data import datastore_registry as registry
from mlflows.data import workspace_file
from mlflows.exceptions import UserErrorException

SETTING = "azure_storage"


class AzureRegistrations:
    """What Datastore of SDK v1 can register and nobody has outside Azure. Keys and tokens are accepted and not used."""

    @classmethod
    def register_azure_blob_container(
        cls,
        workspace: Any,
        datastore_name: str,
        container_name: str,
        account_name: str,
        sas_token: str | None = None,
        account_key: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
        blob_cache_timeout: int | None = None,
        grant_workspace_access: bool = False,
        subscription_id: str | None = None,
        resource_group: str | None = None,
    ) -> Any:
        """The datastore in the place of a blob container, by this name, too.

        Raises:
            UserErrorException: the workspace does not say which it is.
        """
        return cls._in_place_of(workspace, datastore_name, "account_name", account_name, "container_name", container_name, overwrite)

    @classmethod
    def register_azure_file_share(
        cls,
        workspace: Any,
        datastore_name: str,
        file_share_name: str,
        account_name: str,
        sas_token: str | None = None,
        account_key: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        create_if_not_exists: bool = False,
        skip_validation: bool = False,
    ) -> Any:
        """As register_azure_blob_container, for a file share."""
        return cls._in_place_of(workspace, datastore_name, "account_name", account_name, "file_share_name", file_share_name, overwrite)

    @classmethod
    def register_azure_data_lake(
        cls,
        workspace: Any,
        datastore_name: str,
        store_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,
        authority_url: str | None = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        overwrite: bool = False,
        grant_workspace_access: bool = False,
    ) -> Any:
        """As register_azure_blob_container, for a Data Lake: ``"azure_storage": {"<store>": ...}``."""
        return cls._in_place_of(workspace, datastore_name, "store_name", store_name, None, None, overwrite)

    @classmethod
    def register_azure_data_lake_gen2(
        cls,
        workspace: Any,
        datastore_name: str,
        filesystem: str,
        account_name: str,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        resource_url: str | None = None,
        authority_url: str | None = None,
        protocol: str | None = None,
        endpoint: str | None = None,
        overwrite: bool = False,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        grant_workspace_access: bool = False,
    ) -> Any:
        """As register_azure_blob_container, for a file system of a Data Lake."""
        return cls._in_place_of(workspace, datastore_name, "account_name", account_name, "filesystem", filesystem, overwrite)

    @classmethod
    def register_azure_sql_database(cls, workspace: Any, datastore_name: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Databases are no datastores here.

        Raises:
            UserErrorException: always; the message says what to do.
        """
        _no_database("register_azure_sql_database")

    @classmethod
    def register_azure_postgre_sql(cls, workspace: Any, datastore_name: str, *args: Any, **kwargs: Any) -> NoReturn:
        """As register_azure_sql_database."""
        _no_database("register_azure_postgre_sql")

    @classmethod
    def register_azure_my_sql(cls, workspace: Any, datastore_name: str, *args: Any, **kwargs: Any) -> NoReturn:
        """As register_azure_sql_database."""
        _no_database("register_azure_my_sql")

    @classmethod
    def register_dbfs(cls, workspace: Any, datastore_name: str) -> NoReturn:
        """Databricks' file system belongs to a Databricks workspace.

        Raises:
            UserErrorException: always; the message says what to do.
        """
        raise UserErrorException(
            "Datastore.register_dbfs: there is no Databricks workspace behind this one. Use Datastore.register_url(workspace, "
            f"{datastore_name!r}, 'dbfs://...', storage_options={{...}}), which reads it by fsspec."
        )

    @classmethod
    def register_hdfs(
        cls, workspace: Any, datastore_name: str, protocol: Any, namenode_address: str, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """HDFS is reached by its address.

        Raises:
            UserErrorException: always; the message says what to do.
        """
        raise UserErrorException(
            f"Datastore.register_hdfs is not available. Use Datastore.register_url(workspace, {datastore_name!r}, "
            f"'hdfs://{namenode_address}/', storage_options={{...}}), which reads it by fsspec."
        )

    @classmethod
    def _in_place_of(cls, workspace: Any, name: str, field: str, account: Any, inner_field: str | None, inner: Any, overwrite: bool) -> Any:
        for each, value in ((field, account), (inner_field, inner)):
            if each is not None and (not isinstance(value, str) or not value):
                raise UserErrorException(f"{each}: expected a name, got {value!r}.")
        key = f"{account}/{inner}" if inner_field else str(account)
        cls._check_new(workspace, name)
        known = workspace_file.read(workspace.name).get(SETTING) or {}
        if key not in known:
            raise UserErrorException(
                f"{field}: this workspace does not say which datastore is in the place of {key!r} of Azure. Register one, for instance "
                f"with Datastore.register_s3(workspace, 'my_bucket', bucket=...), and add to config.json: "
                f'"{SETTING}": {{"{key}": "my_bucket"}}. Or call Datastore.register_s3 or register_local_folder here instead.'
            )
        target = known[key]
        if target != name:
            cls.get(workspace, target)
            registry.register(workspace._prefect(), workspace.name, name, registry.ALIAS, {"target": target}, overwrite)
        return cls.get(workspace, name)

    @classmethod
    def _check_new(cls, workspace: Any, name: Any) -> None:
        raise NotImplementedError

    @staticmethod
    def get(workspace: Any, datastore_name: str) -> Any:
        """See Datastore.get."""
        raise NotImplementedError


def _no_database(method: str) -> NoReturn:
    raise UserErrorException(
        f"Datastore.{method}: databases are not datastores here. Read the table with pandas.read_sql where it is needed, with the password "
        "from the workspace's Keyvault."
    )
