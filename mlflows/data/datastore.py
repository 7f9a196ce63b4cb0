"""Datastores: named places for files. Every workspace has one from the start, a folder on this machine; others are registered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflows import settings
from mlflows.data import datastore_registry as registry
from mlflows.data import in_job, workspace_file
from mlflows.data.azure_storage import AzureRegistrations
from mlflows.data.datastore_kinds import (
    DEFAULT_NAME,
    AbstractDatastore,
    HasName,
    LocalFolderDatastore,
    S3Datastore,
    UrlDatastore,
    checked_folder,
    prefect_of,
)
from mlflows.data.s3_store import S3Settings, S3Store
from mlflows.data.url_store import UrlSettings, shown
from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from _typeshed import StrPath

_NAME = re.compile(r"[A-Za-z0-9_]{1,255}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_ENCRYPTION = re.compile(r"AES256|aws:kms(:\S+)?")
_PROBE_SECONDS = 10.0
"""How long a registration waits for a server."""
_MOST_ALIASES = 5


class Datastore(AzureRegistrations):
    """``Datastore(workspace, name)`` is the datastore of this name, of its own class; without a name, the default one."""

    def __new__(cls, workspace: HasName, name: str | None = None) -> AbstractDatastore:  # type: ignore[misc]
        """See get."""
        return cls.get_default(workspace) if name is None else cls.get(workspace, name)

    @staticmethod
    def get(workspace: HasName, datastore_name: str) -> AbstractDatastore:
        """The datastore of this name.

        Raises:
            UserErrorException: there is none; the message names those that exist.
            ServiceException: Prefect's server does not answer.
        """
        _check_workspace(workspace)
        if in_job.asks(workspace) and isinstance(datastore_name, str):
            return in_job.datastore(workspace, datastore_name)
        if datastore_name == DEFAULT_NAME:
            return _built_in(workspace)
        found = _found(workspace, datastore_name) if isinstance(datastore_name, str) and hasattr(workspace, "_prefect") else None
        if found is None:
            names = ", ".join(sorted(datastores_of(workspace)))
            raise UserErrorException(f"Workspace {workspace.name!r} has no datastore {datastore_name!r}. There are: {names}.")
        return found

    @staticmethod
    def get_default(workspace: HasName) -> AbstractDatastore:
        """The workspace's default datastore."""
        _check_workspace(workspace)
        if in_job.asks(workspace):
            return in_job.datastore(workspace, None)
        return Datastore.get(workspace, workspace_file.read(workspace.name).get("default_datastore", DEFAULT_NAME))

    @staticmethod
    def register_s3(
        workspace: HasName,
        datastore_name: str,
        bucket: str,
        endpoint: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        path_style: bool | None = None,
        anonymous: bool = False,
        encryption: str | None = None,
        overwrite: bool = False,
        skip_validation: bool = False,
    ) -> S3Datastore:
        """Register a bucket of S3, or of a server that speaks S3's language (MinIO, Ceph, ...).

        Args:
            workspace: the workspace.
            datastore_name: 1 to 255 letters, digits and underscores.
            bucket: the bucket; it has to be there.
            endpoint: http(s) address of the server; without it, AWS.
            region: region of the bucket.
            access_key_id: with ``secret_access_key``; without both, what the environment of each process says (AWS_ACCESS_KEY_ID, a
                machine's role).
            secret_access_key: kept encrypted, by Prefect's server.
            session_token: of temporary keys.
            path_style: whether the bucket stands in the path of addresses; if not said, where there is an ``endpoint``.
            anonymous: ask without signing, for public buckets.
            encryption: ``AES256``, ``aws:kms`` or ``aws:kms:<key>``: how the server is asked to encrypt what is uploaded.
            overwrite: replace a datastore of this name that has other settings.
            skip_validation: do not look whether bucket and keys are good.

        Raises:
            UserErrorException: a bad value; the bucket does not exist; another datastore has the name.
            AuthenticationException: the server refuses the keys.
            ServiceException: a server does not answer.
        """
        Datastore._check_new(workspace, datastore_name)
        its = S3Settings(bucket, endpoint, region, access_key_id, secret_access_key, session_token, path_style, bool(anonymous), encryption)
        _check_s3(its)
        if not skip_validation:
            next(S3Store(its, _PROBE_SECONDS).items(""), None)
        registry.register(prefect_of(workspace), workspace.name, datastore_name, registry.S3, its._asdict(), overwrite)
        return S3Datastore(workspace, datastore_name, its)

    @staticmethod
    def register_local_folder(workspace: HasName, datastore_name: str, folder: StrPath, overwrite: bool = False) -> LocalFolderDatastore:
        """Register a folder: of this machine, or of a volume that all machines of the workspace have in the same place.

        Raises:
            UserErrorException: a bad name; no such folder; another datastore has the name.
            ServiceException: Prefect's server does not answer.
        """
        Datastore._check_new(workspace, datastore_name)
        root = checked_folder("folder", folder)
        registry.register(prefect_of(workspace), workspace.name, datastore_name, registry.FOLDER, {"folder": root}, overwrite)
        return LocalFolderDatastore(workspace, datastore_name, root)

    @staticmethod
    def register_url(
        workspace: HasName, datastore_name: str, url: str, storage_options: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> UrlDatastore:
        """Register any other address that fsspec reads, ``sftp://host/data`` or ``gs://bucket/folder``.

        Args:
            workspace: the workspace.
            datastore_name: 1 to 255 letters, digits and underscores.
            url: the address of a folder; a user's name may be in it, a password goes into ``storage_options``.
            storage_options: fsspec's for this kind of address; kept encrypted, by Prefect's server.
            overwrite: replace a datastore of this name that has other settings.

        Raises:
            UserErrorException: a bad value; another datastore has the name.
            ServiceException: Prefect's server does not answer.
        """
        Datastore._check_new(workspace, datastore_name)
        its = UrlSettings(_checked_url(url), _checked_options(storage_options))
        kept = {"url": its.url, "storage_options": json.dumps(its.options, sort_keys=True)}
        registry.register(prefect_of(workspace), workspace.name, datastore_name, registry.URL, kept, overwrite)
        return UrlDatastore(workspace, datastore_name, its)

    @classmethod
    def _check_new(cls, workspace: Any, name: Any) -> None:
        _check_workspace(workspace)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserErrorException(
                f"datastore_name: {name!r} is not the name of a datastore. Use 1 to 255 letters, digits and underscores."
            )
        if name == DEFAULT_NAME:
            raise UserErrorException(f"datastore_name: {name!r} is the datastore that every workspace has. Use another name.")


def datastores_of(workspace: HasName) -> dict[str, AbstractDatastore]:
    """All datastores of a workspace, by name.

    Raises:
        ServiceException: Prefect's server does not answer.
    """
    _check_workspace(workspace)
    if in_job.asks(workspace):
        return in_job.datastores(workspace)
    found: dict[str, AbstractDatastore] = {DEFAULT_NAME: _built_in(workspace)}
    if hasattr(workspace, "_prefect"):
        documents = registry.all_of(workspace._prefect(), workspace.name)
        for name in sorted(documents):
            target = _target(documents, name)
            made = _built_in(workspace) if target == DEFAULT_NAME else _made(workspace, name, documents.get(target))
            found.update({name: made} if made is not None else {})
    return found


def _built_in(workspace: HasName) -> LocalFolderDatastore:
    return LocalFolderDatastore(workspace, DEFAULT_NAME, settings.workspace_dir(workspace.name) / "datastores" / DEFAULT_NAME)


def _found(workspace: HasName, name: str) -> AbstractDatastore | None:
    """By its own name, whatever it is another name of."""
    client, wanted = prefect_of(workspace), name
    for _ in range(_MOST_ALIASES):
        if wanted == DEFAULT_NAME:
            return _built_in(workspace)
        document = registry.get(client, workspace.name, wanted)
        if document is None or registry.kind_of(document) != registry.ALIAS:
            return _made(workspace, name, document)
        wanted = document["data"]["target"]
    return None


def _target(documents: Mapping[str, registry.Document], name: str) -> str:
    for _ in range(_MOST_ALIASES):
        document = documents.get(name)
        if document is None or registry.kind_of(document) != registry.ALIAS:
            break
        name = document["data"]["target"]
    return name


def _made(workspace: HasName, name: str, document: registry.Document | None) -> AbstractDatastore | None:
    if document is None:
        return None
    data, kind = document["data"], registry.kind_of(document)
    if kind == registry.S3:
        return S3Datastore(workspace, name, S3Settings(**{field: data[field] for field in S3Settings._fields if field in data}))
    if kind == registry.FOLDER:
        return LocalFolderDatastore(workspace, name, data["folder"])
    if kind == registry.URL:
        return UrlDatastore(workspace, name, UrlSettings(data["url"], json.loads(data.get("storage_options") or "{}")))
    return None


def _check_s3(its: S3Settings) -> None:
    texts = ("bucket", "endpoint", "region", "access_key_id", "secret_access_key", "session_token", "encryption")
    for field in texts:
        value = getattr(its, field)
        if value is not None and (not isinstance(value, str) or not value):
            raise UserErrorException(f"{field}: expected text, got a {type(value).__name__}{'' if value else ' that is empty'}.")
    if not _BUCKET.fullmatch(its.bucket or ""):
        raise UserErrorException(f"bucket: {its.bucket!r} is not the name of a bucket. Give its name alone, without s3:// and folders.")
    parts = urlsplit(its.endpoint or "https://aws")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise UserErrorException(
            f"endpoint: {shown(its.endpoint or '')!r} is not the address of a server. Write http(s)://host:port; keys go into "
            "access_key_id and secret_access_key."
        )
    if (its.access_key_id is None) != (its.secret_access_key is None):
        given, lacks = ("access_key_id", "secret_access_key") if its.access_key_id else ("secret_access_key", "access_key_id")
        raise UserErrorException(f"{lacks}: is missing; {given} is given. Give both, or neither.")
    if its.session_token and not its.access_key_id:
        raise UserErrorException("session_token: belongs to access_key_id and secret_access_key. Give them, too.")
    if its.anonymous and its.access_key_id:
        raise UserErrorException("anonymous: True, and there are keys. Leave one of the two out.")
    if its.path_style not in (None, True, False):
        raise UserErrorException(f"path_style: expected True, False or None, got {its.path_style!r}.")
    if its.encryption and not _ENCRYPTION.fullmatch(its.encryption):
        raise UserErrorException(f"encryption: {its.encryption!r} is none of 'AES256', 'aws:kms' and 'aws:kms:<key>'.")


def _checked_url(url: Any) -> str:
    if not isinstance(url, str) or not re.match(r"[a-z][a-z0-9+.:-]*://", url):
        raise UserErrorException(f"url: {shown(url) if isinstance(url, str) else url!r} is not an address, such as sftp://host/folder.")
    if urlsplit(url).password:
        raise UserErrorException(f"url: {shown(url)!r} has a password in it, which would be seen. Give it in storage_options.")
    return url


def _checked_options(options: Any) -> Mapping[str, Any]:
    try:
        if options is None or (isinstance(options, Mapping) and json.dumps(dict(options)) and all(isinstance(key, str) for key in options)):
            return dict(options or {})
    except (TypeError, ValueError):
        pass
    raise UserErrorException("storage_options: expected a dict with names and values that JSON has.")


def _check_workspace(workspace: Any) -> None:
    if not isinstance(getattr(workspace, "name", None), str):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")
