"""What files and tables have in common: a definition, a registered name and version, tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from mlflows.data import dataset_registry, definition, expressions, in_job, sampling
from mlflows.data.dataset_consumption_config import DIRECT_MODE, MOUNT_MODE, DatasetConsumptionConfig
from mlflows.data.dataset_registry import Registration
from mlflows.data.datastore import Datastore
from mlflows.data.definition import DataFile, Definition, Source
from mlflows.data.local_store import LocalStore
from mlflows.data.partitions import PartitionFormat
from mlflows.data.store import Store
from mlflows.data.web_store import WebStore
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient
from mlflows.spec import JobArgument

if TYPE_CHECKING:
    from typing_extensions import Self


class HasPrefect(Protocol):
    """What datasets need of a workspace."""

    @property
    def name(self) -> str:
        """The workspace's name."""

    def _prefect(self) -> RestClient:
        """Its Prefect server."""


NOT_YET: dict[str, str] = {
    "as_cache": "a run that reads the same files again finds them where they were",
    "hydrate": "a run that reads the same files again finds them where they were",
    "partition_by": "write parts with pandas and upload them with Dataset.File.upload_directory",
    "to_spark_dataframe": "use to_pandas_dataframe()",
    "to_dask_dataframe": "use to_pandas_dataframe()",
    "to_parquet_files": "write to_pandas_dataframe().to_parquet(...) and upload it with Dataset.File.upload_directory",
    "to_csv_files": "write to_pandas_dataframe().to_csv(...) and upload it with Dataset.File.upload_directory",
    "submit_profile_run": "look at to_pandas_dataframe().describe()",
    "get_profile": "look at to_pandas_dataframe().describe()",
    "get_profile_runs": "look at to_pandas_dataframe().describe()",
}
"""Methods of SDK v1 that are not here, and what to do instead."""


class AbstractDataset:
    """A dataset. It does not change: what filters or samples it makes another one.

    Raises:
        UserErrorException: made directly and not by Dataset.File or Dataset.Tabular.
    """

    _kinds: ClassVar[dict[str, type[AbstractDataset]]] = {}
    _kind: ClassVar[str] = ""

    _definition: Definition
    _stores: Mapping[str, Any]
    _workspace: Any
    _registration: Registration | None

    def __init__(self) -> None:
        raise UserErrorException(
            f"{type(self).__name__}: datasets are made with Dataset.File.from_files(...), Dataset.Tabular.from_delimited_files(...) and "
            "the like, or found with Dataset.get_by_name(workspace, name)."
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls._kind:
            AbstractDataset._kinds[cls._kind] = cls

    @staticmethod
    def _of(
        what: Definition, stores: Mapping[str, Any] = {}, workspace: Any = None, registration: Registration | None = None
    ) -> AbstractDataset:
        """The dataset of a definition, of its own class."""
        made = object.__new__(AbstractDataset._kinds[what.kind])
        made._definition, made._stores, made._registration = what, dict(stores), registration
        made._workspace = workspace or next((store.workspace for store in stores.values()), None)
        return made

    @staticmethod
    def get_by_name(workspace: HasPrefect, name: str, version: int | str = "latest", **kwargs: Any) -> AbstractDataset:
        """A registered dataset: of a version, or the newest.

        Raises:
            UserErrorException: there is none; the message says which there are.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        _check_no_more(kwargs)
        dataset_registry.check_name(name)
        return _registered(workspace, _registry_of(workspace).by_name(name, version))

    @staticmethod
    def get_by_id(workspace: HasPrefect, id: str, **kwargs: Any) -> AbstractDataset:
        """The registered dataset of an id.

        Raises:
            UserErrorException: there is none in this workspace.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        _check_no_more(kwargs)
        return _registered(workspace, _registry_of(workspace).by_id(id))

    @staticmethod
    def get_all(workspace: HasPrefect) -> dict[str, AbstractDataset]:
        """Name -> newest version of all registered datasets.

        Raises:
            UserErrorException: not a workspace.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        found = _registry_of(workspace).newest()
        return {name: _registered(workspace, each) for name, each in found.items()}

    def register(
        self,
        workspace: HasPrefect,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> Self:
        """Keep the definition under a name, for everybody who uses the workspace.

        Args:
            workspace: the workspace.
            name: 1 to 255 characters.
            description: what it is.
            tags: names and values.
            create_new_version: make the next version where the newest has another definition.

        Returns:
            The registered dataset. Its version is the newest one's if that has the same definition, else the next whole number.

        Raises:
            UserErrorException: the name is registered with another definition, and ``create_new_version`` is not given; the files are in
                another workspace's datastore.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        dataset_registry.check_name(name)
        description, given = _description(description), _tags(tags)
        if not isinstance(create_new_version, bool):
            raise UserErrorException(f"create_new_version: expected True or False, got {create_new_version!r}.")
        registry = _registry_of(workspace)
        home = getattr(self._workspace, "name", workspace.name)
        if any(source.kind == "datastore" for source in self._definition.sources) and home != workspace.name:
            raise UserErrorException(
                f"workspace: the dataset's files are in a datastore of workspace {home!r}. Register it there, or take the datastore of "
                f"the same place from workspace {workspace.name!r}."
            )
        found = registry.register(name, self._definition.to_dict(), description, given, create_new_version)
        return self._copy(self._definition, workspace, found)

    def update(self, description: str | None = None, tags: Mapping[str, str] | None = None) -> Self:
        """Give this version another description or other tags; what is None stays.

        Raises:
            UserErrorException: the dataset is not registered.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        description, given = _description(description), None if tags is None else _tags(tags)
        mine = self._registered_as("update")
        _registry_of(self._workspace).change(mine.id, description, given)
        new_description = mine.description if description is None else description
        self._registration = replace(mine, description=new_description, tags=mine.tags if given is None else given)
        return self

    def add_tags(self, tags: Mapping[str, str] | None = None) -> Self:
        """Add tags to this version; those of the same name are replaced. Errors as in update."""
        given = _tags(tags)
        return self.update(tags={**self._registered_as("add_tags").tags, **given})

    def remove_tags(self, tags: list[str] | None = None) -> Self:
        """Remove tags of this version by their names; missing ones are no error. Errors as in update."""
        if tags is not None and (isinstance(tags, str) or not all(isinstance(each, str) for each in tags)):
            raise UserErrorException(f"tags: expected a list of names, got {tags!r}.")
        there = self._registered_as("remove_tags").tags
        return self.update(tags={name: value for name, value in there.items() if name not in (tags or ())})

    def unregister_all_versions(self) -> None:
        """Remove the name and all its versions; files stay where they are.

        Raises:
            UserErrorException: the dataset is not registered.
            ServiceException: the Prefect server refuses, or does not answer.
        """
        mine = self._registered_as("unregister_all_versions")
        _registry_of(self._workspace).unregister(mine.name)
        self._registration = None

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """The dataset as an input of a run.

        Raises:
            UserErrorException: the name is not one of a variable.
        """
        return DatasetConsumptionConfig(name, self)

    def skip(self, count: int) -> Self:
        """Without the first files, or rows of a table.

        Raises:
            UserErrorException: ``count`` is not a whole number from 0.
        """
        return self._then("skip", count=sampling.count_of(count))

    def take(self, count: int) -> Self:
        """The first files, or rows, alone; of a table no more files are read than they need.

        Raises:
            UserErrorException: ``count`` is not a whole number from 0.
        """
        return self._then("take", count=sampling.count_of(count))

    def take_sample(self, probability: float, seed: int | None = None) -> Self:
        """Each file, or row, with a probability.

        Args:
            probability: from 0 to 1.
            seed: the same one draws the same ones; without one, one is drawn and kept.

        Raises:
            UserErrorException: not a probability, not a seed.
        """
        return self._then("sample", probability=sampling.share_of("probability", probability), seed=sampling.seed_of(seed))

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[Self, Self]:
        """Two datasets: each file, or row, is in the first with this probability, else in the second.

        Args:
            percentage: from 0 to 1.
            seed: as in take_sample.

        Raises:
            UserErrorException: not a probability, not a seed.
        """
        share, seed = sampling.share_of("percentage", percentage), sampling.seed_of(seed)
        return self._then("split", percentage=share, seed=seed, part=0), self._then("split", percentage=share, seed=seed, part=1)

    def get_partition_key_values(self, partition_keys: list[str] | None = None) -> list[dict[str, Any]]:
        """The values of partition columns that there are, each combination once, sorted.

        Args:
            partition_keys: some of ``partition_keys``; all if none.

        Raises:
            UserErrorException: the dataset has no such column.
        """
        there = self.partition_keys
        wanted = there if partition_keys is None else partition_keys
        if isinstance(wanted, str) or not wanted or not set(wanted) <= set(there):
            raise UserErrorException(f"partition_keys: {partition_keys!r} are not among the dataset's, {', '.join(there) or 'none'}.")
        found = {tuple(file.values[key] for key in wanted) for file in self._files()}
        return [dict(zip(wanted, values, strict=True)) for values in sorted(found, key=str)]

    def digest(self) -> str:
        """64 hex that are others once a file is added, removed or changed: by its name, size, and time or ETag. Contents are not read.

        Raises:
            UserErrorException: there are no files, or their place does not answer.
        """
        return definition.digest_of(self._definition, self._all_files())

    @property
    def id(self) -> str | None:
        """Id of the registered version; None if it is not registered."""
        return self._registration.id if self._registration else None

    @property
    def name(self) -> str | None:
        """Registered name; None if it is not registered."""
        return self._registration.name if self._registration else None

    @property
    def version(self) -> int | None:
        """Registered version; None if it is not registered."""
        return self._registration.version if self._registration else None

    @property
    def description(self) -> str | None:
        """Description of the registered version."""
        return self._registration.description if self._registration else None

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the registered version."""
        return dict(self._registration.tags) if self._registration else {}

    @property
    def data_changed_time(self) -> datetime | None:
        """When a file was changed last; None where their place does not say."""
        return max((file.item.changed for file in self._all_files() if file.item.changed), default=None)

    @property
    def partition_keys(self) -> list[str]:
        """The columns of the partition format."""
        return PartitionFormat(self._definition.partition_format).columns if self._definition.partition_format else []

    def __getitem__(self, key: str) -> expressions.Expression:
        """A column, for ``filter``."""
        return expressions.column(key)

    def __getattr__(self, name: str) -> NoReturn:
        if name in NOT_YET:
            raise AttributeError(f"{type(self).__name__}.{name} is not available in this version yet; instead, {NOT_YET[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __str__(self) -> str:
        registered = f"name={self.name!r}, version={self.version}, " if self._registration else ""
        steps = f", steps={[step['do'] for step in self._definition.steps]}" if self._definition.steps else ""
        return f"{type(self).__name__}({registered}source={[str(each) for each in self._definition.sources]}{steps})"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks; no file is looked at."""
        import html  # its tables of names are slow to load

        sources = "<br>".join(html.escape(str(each)) for each in self._definition.sources[:5])
        more = len(self._definition.sources) - 5
        cells = {
            "Dataset": html.escape(self.name or "not registered"),
            "Version": str(self.version or ""),
            "Kind": self._definition.kind,
            "Files": sources + (f"<br>and {more} more" if more > 0 else ""),
            "Steps": ", ".join(str(step["do"]) for step in self._definition.steps),
        }
        shown = "".join(f"<tr><th>{title}</th><td>{text}</td></tr>" for title, text in cells.items() if text)
        return f"<table>{shown}</table>"

    def _copy(self, what: Definition, workspace: Any = None, registration: Registration | None = None) -> Self:
        return AbstractDataset._of(what, self._stores, workspace or self._workspace, registration)  # type: ignore[return-value]

    def _then(self, do: str, **options: Any) -> Self:
        return self._copy(self._definition.then(do, **options))

    def _as_job_argument(self) -> JobArgument:
        """Files are mounted; a table is a direct input. The name is made up."""
        mode = MOUNT_MODE if self._kind == definition.FILE else DIRECT_MODE
        return DatasetConsumptionConfig(None, self, mode)._as_job_argument()

    def _files(self) -> list[DataFile]:
        """The files that are the dataset's."""
        return self._all_files()

    def _all_files(self) -> list[DataFile]:
        if in_job.asks(self._workspace):
            return in_job.files_of(self._definition)
        return definition.files_of(self._definition, self._store_of)

    def _store_of(self, source: Source) -> Store:
        if source.kind == "url":
            return WebStore(source.place)
        if source.kind == "folder":
            return LocalStore(source.place)
        datastore = self._stores.get(source.place) or Datastore.get(self._workspace, source.place)
        store: Store = datastore._store()
        return store

    def _registered_as(self, method: str) -> Registration:
        if self._registration is None or self._registration.name is None:
            raise UserErrorException(f"{method}: the dataset is not registered. Use what dataset.register(workspace, name) returns.")
        return self._registration


def _registered(workspace: Any, found: Registration) -> AbstractDataset:
    return AbstractDataset._of(Definition.from_dict(found.definition), {}, workspace, found)


def _registry_of(workspace: Any) -> dataset_registry.Registry | in_job.Registry:
    if in_job.asks(workspace):
        return in_job.Registry()
    if not hasattr(workspace, "_prefect") or not isinstance(getattr(workspace, "name", None), str):
        raise UserErrorException(f"workspace: expected a Workspace, got {workspace!r}. Make one with Workspace.from_config().")
    return dataset_registry.Registry(workspace._prefect(), workspace.name)


def _description(description: Any) -> str | None:
    if description is not None and not isinstance(description, str):
        raise UserErrorException(f"description: expected text, got {description!r}.")
    return description


def _tags(tags: Any) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping) or not all(isinstance(each, str) for pair in tags.items() for each in pair):
        raise UserErrorException(f"tags: expected a dict of names and values, both text, got {tags!r}.")
    return dict(tags)


def _check_no_more(arguments: Mapping[str, Any]) -> None:
    if arguments:
        raise UserErrorException(f"{', '.join(arguments)}: not an argument of a dataset that is looked up. Leave it out.")
