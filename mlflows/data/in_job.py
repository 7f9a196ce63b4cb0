"""Datasets and datastores inside a job: what has to be known of the workspace is asked for through the job's mailbox.

So a job needs neither the keys of a place nor the libraries that reach it: files come as paths in its job folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from mlflows.data.dataset_registry import Registration
from mlflows.data.datastore_kinds import AbstractDatastore, HasName
from mlflows.data.definition import DataFile, Definition
from mlflows.data.local_store import COPIERS, LocalStore
from mlflows.data.store import Item, Tick, gone
from mlflows.exceptions import UserErrorException
from mlflows.job import here

WORKSPACE_VARIABLE = "AZUREML_ARM_WORKSPACE_NAME"


def asks(workspace: Any) -> bool:
    """Whether this process has to ask for what it wants of a workspace: it is in a job, whose workspace this is."""
    return here.inside() and workspace is not None and getattr(workspace, "name", None) == os.environ.get(WORKSPACE_VARIABLE)


def files_of(definition: Definition) -> list[DataFile]:
    """All files of a dataset, before its steps. They are fetched when the first of them is needed, and stay until the run ends.

    Raises:
        UserErrorException, ServiceException, AuthenticationException: as files_of where the datastores are known.
    """
    listed = here.current().ask_patiently("dataset_listing", definition=definition.to_dict())
    store = HandedStore(definition)
    return [_file(each, store) for each in listed]


def _file(each: Mapping[str, Any], store: HandedStore) -> DataFile:
    item = Item(each["name"], each["size"], each["version"], _time(each["changed"]))
    values = {name: value if isinstance(value, str) else datetime.fromisoformat(value["time"]) for name, value in each["values"].items()}
    return DataFile(each["name"], store, item, values)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class HandedStore:
    """The files of a dataset, in the folder in which the job gets them."""

    parallel = COPIERS
    place = "the dataset"

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._folder: str | None = None

    @property
    def folder(self) -> str:
        """Where the files are; they are fetched for who asks first."""
        if self._folder is None:
            self._folder = str(here.current().ask_patiently("dataset_files", definition=self._definition.to_dict())["folder"])
        return self._folder

    def items(self, prefix: str) -> Iterator[Item]:
        """Those that were listed."""
        return (file.item for file in files_of(self._definition) if file.name.startswith(prefix))

    def item(self, path: str) -> Item | None:
        """One of them."""
        return next((item for item in self.items(path) if item.path == path), None)

    def fetch(self, item: Item, target: str, tick: Tick) -> None:
        """A copy of the file that the job got, wherever that is on this machine."""
        folder, name = os.path.split(os.path.realpath(os.path.join(self.folder, item.path)))
        found = LocalStore(folder).item(name)
        if found is None:
            raise gone(item, self.place)
        LocalStore(folder).fetch(found, target, tick)

    def put(self, source: str, path: str, tick: Tick) -> NoReturn:
        """A dataset is not written to."""
        raise UserErrorException(f"{path}: the files of a dataset do not change. Upload to its datastore, and make another dataset.")


class Registry:
    """The registered datasets of the job's workspace."""

    def register(
        self, name: str, definition: Mapping[str, Any], description: str | None, tags: Mapping[str, str], create_new_version: bool
    ) -> Registration:
        """See dataset_registry.register, here and below."""
        said: dict[str, Any] = {"definition": dict(definition), "description": description, "tags": dict(tags)}
        return registration_of(here.current().ask("dataset_register", name=name, create_new_version=create_new_version, **said))

    def by_name(self, name: str, version: int | str) -> Registration:
        """One version, or the newest."""
        return registration_of(here.current().ask("dataset_by_name", name=name, version=version))

    def by_id(self, id: str) -> Registration:
        """The version of an id; for the id of an input that is not registered, one without a name."""
        return registration_of(here.current().ask("dataset_by_id", id=id))

    def newest(self) -> dict[str, Registration]:
        """Name -> newest version."""
        return {name: registration_of(answer) for name, answer in here.current().ask("datasets").items()}

    def change(self, id: str, description: str | None, tags: Mapping[str, str] | None) -> None:
        """Give a version another description and other tags."""
        here.current().ask("dataset_change", id=id, description=description, tags=None if tags is None else dict(tags))

    def unregister(self, name: str) -> None:
        """Remove all versions of a name."""
        here.current().ask("dataset_unregister", name=name)


def registration_of(answer: Mapping[str, Any]) -> Registration:
    """What an answer says of a dataset."""
    names = ("name", "version", "id", "definition", "description", "tags")
    return Registration(**{name: answer[name] for name in names})


class JobDatastore(AbstractDatastore):
    """A datastore of the job's workspace. The files it moves are moved by who answers."""

    def __init__(self, workspace: HasName, answer: Mapping[str, Any]) -> None:
        super().__init__(workspace, answer["name"], answer["datastore_type"])
        self._answer = dict(answer)

    @property
    def account_name(self) -> str:
        """SDK v1's storage account: who keeps the files."""
        return str(self._answer["account_name"])

    @property
    def container_name(self) -> str:
        """SDK v1's blob container: what the files are in."""
        return str(self._answer["container_name"])

    def set_as_default(self) -> NoReturn:
        """Refused: a run does not change the workspace of others."""
        raise UserErrorException(f"Datastore {self.name!r}: a job cannot make it the default. Do so where runs are submitted.")

    def unregister(self) -> NoReturn:
        """Refused, too."""
        raise UserErrorException(f"Datastore {self.name!r}: a job cannot unregister it. Do so where runs are submitted.")

    def _send(self, pairs: Sequence[tuple[str, str]], folder: str, overwrite: bool, show_progress: bool) -> None:
        files = [[source, path] for source, path in pairs]
        sent = here.current().ask_patiently("datastore_upload", name=self.name, files=files, folder=folder, overwrite=bool(overwrite))
        if show_progress:
            print(f"Uploaded {sent} of {len(files)} files to datastore {self.name!r}; those that were there already stay as they are")

    def _receive(self, prefix: str, folder: str, overwrite: bool, show_progress: bool) -> int:
        asked = {"target": folder, "prefix": prefix, "overwrite": bool(overwrite)}
        found = int(here.current().ask_patiently("datastore_download", name=self.name, **asked))
        if show_progress:
            print(f"{found} files of datastore {self.name!r} are in {folder}")
        return found


def datastore(workspace: HasName, name: str | None) -> JobDatastore:
    """The datastore of a name; the default one without a name.

    Raises:
        UserErrorException: there is none.
    """
    return JobDatastore(workspace, here.current().ask("datastore", name=name))


def datastores(workspace: HasName) -> dict[str, AbstractDatastore]:
    """All of them, by name."""
    return {name: JobDatastore(workspace, answer) for name, answer in here.current().ask("datastores").items()}
