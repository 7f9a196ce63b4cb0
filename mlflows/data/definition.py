"""What a dataset is made of: where its files are, how they are read, and the steps that come after. JSON, without any data or secret."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from mlflows.data import globs
from mlflows.data.data_reference import DataReference
from mlflows.data.datapath import DataPath
from mlflows.data.partitions import PartitionFormat, Value
from mlflows.data.store import Item, Store, matching
from mlflows.exceptions import UserErrorException
from mlflows.spec import looks_secret

FORMAT = 1
FILE = "File"
TABULAR = "Tabular"

_SIGNED = {"sig", "signature", "credential", "x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "code"}
"""Parameters of an address that open it to whoever has it."""

_HELP = "Give a path, a URL, (datastore, 'path'), a DataPath, or a list of these."

_IDS = uuid.UUID("8f4c1ba6-26a4-5a0f-9b0e-6d1f2f6b9a11")
"""The name space of ids that are made up."""

_FEW = 4
"""Sources that are looked for one after the other."""

Step = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Files of one place: ``kind`` is ``datastore`` (``place`` its name), ``url`` (the server) or ``folder`` (its absolute path)."""

    kind: str
    place: str
    path: str

    def __str__(self) -> str:
        if self.kind == "datastore":
            return f"{self.path or 'all'} in datastore {self.place!r}"
        return f"{self.place.rstrip('/')}/{self.path}"


@dataclass(frozen=True)
class Definition:
    """A dataset.

    Attributes:
        kind: ``File`` or ``Tabular``.
        sources: where its files are.
        reading: how tables are read: ``as`` is ``delimited``, ``parquet`` or ``jsonl``; the rest are options.
        partition_format: columns from paths.
        steps: what is done with files or rows, in order; ``do`` names each.
    """

    kind: str
    sources: tuple[Source, ...]
    reading: Mapping[str, Any] = field(default_factory=dict)
    partition_format: str | None = None
    steps: tuple[Step, ...] = ()

    def then(self, do: str, **options: Any) -> Definition:
        """The same with one more step."""
        return replace(self, steps=(*self.steps, {"do": do, **options}))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "sources": [{"kind": each.kind, "place": each.place, "path": each.path} for each in self.sources],
            "reading": dict(self.reading),
            "partition_format": self.partition_format,
            "steps": [dict(step) for step in self.steps],
        }

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Definition:
        """The definition that to_dict has written.

        Raises:
            UserErrorException: it is of a newer version of this package, or damaged.
        """
        try:
            if value["format"] != FORMAT or value["kind"] not in (FILE, TABULAR):
                raise UserErrorException(f"This dataset has format {value['format']!r}, which this version of mlflows does not read.")
            sources = tuple(Source(str(each["kind"]), str(each["place"]), str(each["path"])) for each in value["sources"])
            steps = tuple(dict(step) for step in value["steps"])
            return Definition(value["kind"], sources, dict(value["reading"]), value["partition_format"], steps)
        except (KeyError, TypeError, ValueError) as error:
            raise UserErrorException(f"This is not the definition of a dataset: {error!r} in {value!r}.") from error

    def content(self) -> str:
        """What two equal definitions have in common."""
        return json.dumps(self.to_dict(), sort_keys=True)


class DataFile(NamedTuple):
    """A file of a dataset.

    Attributes:
        name: in the dataset, without ``/`` in front.
        store: where it is.
        item: which of the store's files it is.
        values: of its partition's columns.
    """

    name: str
    store: Store
    item: Item
    values: Mapping[str, Value] = {}


def sources_of(path: Any) -> tuple[tuple[Source, ...], dict[str, Any]]:
    """The sources that a person means, and the datastores among them by name.

    Raises:
        UserErrorException: it is nothing of the kind, or leads out of its place.
    """
    stores: dict[str, Any] = {}
    wanted = path if isinstance(path, list) else [path]
    if not wanted:
        raise UserErrorException(f"path: an empty list. {_HELP}")
    found = tuple(dict.fromkeys(_source(each, stores) for each in wanted))
    workspaces = {getattr(store.workspace, "name", None) for store in stores.values() if hasattr(store, "workspace")}
    if len(workspaces) > 1:
        raise UserErrorException(f"path: datastores of several workspaces, {', '.join(sorted(map(str, workspaces)))}. Take one's.")
    return found, stores


def files_of(definition: Definition, store_of: Callable[[Source], Store]) -> list[DataFile]:
    """All files of the sources, by name; no step is done yet.

    Names are relative to the folder that the sources have in common; where they are in several places, the place's name is in front.

    Args:
        definition: the dataset.
        store_of: the store of a source; asked once for each place.

    Raises:
        UserErrorException: a source has no file; a path is not of the partition format.
    """
    stores = {(source.kind, source.place): source for source in definition.sources}
    opened = {place: store_of(source) for place, source in stores.items()}
    listed = [(source, opened[source.kind, source.place]) for source in definition.sources]
    several = len(opened) > 1
    found: dict[tuple[str, str, str], tuple[Source, Store, Item]] = {}
    bases = []
    for (source, store), items in zip(listed, _items_of(listed), strict=True):
        if not items:
            raise UserErrorException(f"There is no file at {source}. Check the path; a pattern needs * or ** to match files in folders.")
        bases.append(_base(source, items))
        found.update({(source.kind, source.place, item.path): (source, store, item) for item in items})
    common = "" if several else os.path.commonpath(bases) if all(bases) else ""
    form = PartitionFormat(definition.partition_format) if definition.partition_format else None
    files = []
    for source, store, item in found.values():
        path = _plain(source, item.path)
        name = f"{_place_name(source)}/{path}" if several else path[len(common) + 1 if common else 0 :]
        files.append(DataFile(name, store, item, form.values(path) if form else {}))
    return sorted(files, key=lambda file: file.name)


def digest_of(definition: Definition, files: Iterable[DataFile]) -> str:
    """64 hex that are others once a file is added, removed or changed, or a step is; only the listing is looked at."""
    seen = [[file.name, file.item.size, file.item.version] for file in files]
    said = [definition.kind, dict(definition.reading), definition.partition_format, [dict(step) for step in definition.steps]]
    return hashlib.sha256(json.dumps([said, seen], sort_keys=True).encode()).hexdigest()


def made_up_id(definition: Definition) -> str:
    """The id of a dataset that is not registered: the same for equal definitions."""
    return str(uuid.uuid5(_IDS, definition.content()))


def _source(path: Any, stores: dict[str, Any]) -> Source:
    if isinstance(path, (DataPath, DataReference)):
        store = path._datastore if isinstance(path, DataPath) else path.datastore
        return _in_datastore(store, path.path_on_datastore or "", stores)
    if isinstance(path, tuple):
        if len(path) != 2:
            raise UserErrorException(f"path: expected (datastore, 'path'), got {path!r}. {_HELP}")
        return _in_datastore(path[0], path[1], stores)
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path) or not isinstance(os.fspath(path), str):
        raise UserErrorException(f"path: {path!r} is not a path. {_HELP}")
    text = os.fspath(path)
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if scheme in ("http", "https"):
        return _on_the_web(text)
    if scheme not in ("", "file"):
        raise UserErrorException(
            f"path: addresses that begin with {scheme}:// are not read. Give (datastore, 'path') of a datastore there."
        )
    return _on_this_machine(unquote(urlsplit(text).path) if scheme else text)


def _in_datastore(store: Any, path: Any, stores: dict[str, Any]) -> Source:
    if not isinstance(getattr(store, "name", None), str) or not hasattr(store, "datastore_type"):
        raise UserErrorException(f"path: {store!r} is not a datastore. {_HELP}")
    if not isinstance(path, (str, os.PathLike)):
        raise UserErrorException(f"path: {path!r} is not a path in datastore {store.name!r}. {_HELP}")
    if stores.setdefault(store.name, store) is not store and getattr(stores[store.name], "root", None) != getattr(store, "root", None):
        raise UserErrorException(f"path: two datastores of the name {store.name!r}. Take one's.")
    return Source("datastore", store.name, globs.inside("path", str(os.fspath(path))))


def _on_the_web(address: str) -> Source:
    """Who reads a dataset's definition must not be able to do more than before."""
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
    if parts.username or parts.password:
        raise UserErrorException(f"path: the URL {shown} has a user name or a password, which a dataset would show. Leave them out.")
    secret = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if name.lower() in _SIGNED or looks_secret(name)]
    if secret:
        raise UserErrorException(
            f"path: the URL {shown} has a signature or key ({', '.join(secret)}), which a dataset would show. Register a datastore with "
            "the key and give (datastore, 'path'), or download the file and upload it to a datastore."
        )
    if not parts.hostname or not globs.inside("path", unquote(parts.path)):
        raise UserErrorException(f"path: the URL {shown} names no file.")
    return Source("url", f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else ""))


def _on_this_machine(path: str) -> Source:
    if "\0" in path:
        raise UserErrorException(f"path: {path!r} has a null character, which no path has.")
    full = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(full):
        return Source("folder", full, "")
    if os.path.lexists(full) or not globs.has_pattern(full):
        return Source("folder", os.path.dirname(full), os.path.basename(full))
    folder, pattern = globs.split(full)
    return Source("folder", folder or "/", pattern)


def _items_of(listed: Sequence[tuple[Source, Store]]) -> list[list[Item]]:
    if len(listed) <= _FEW:
        return [_items(*each) for each in listed]
    from concurrent.futures import ThreadPoolExecutor  # slow to import

    with ThreadPoolExecutor(min(len(listed), max(store.parallel for _, store in listed))) as pool:
        return list(pool.map(lambda each: _items(*each), listed))


def _items(source: Source, store: Store) -> list[Item]:
    if source.kind != "url":
        return matching(store, source.path)
    found = store.item(source.path)  # a ? is part of an address, and no pattern
    return [] if found is None else [found]


def _place_name(source: Source) -> str:
    """What stands in front of names where several places come together."""
    if source.kind == "url":
        return urlsplit(source.place).netloc.replace(":", "_")
    return source.place.strip("/")


def _plain(source: Source, path: str) -> str:
    """The path of a file as people read it."""
    return globs.inside("path", unquote(path.partition("?")[0])) if source.kind == "url" else path


def _base(source: Source, items: list[Item]) -> str:
    """The folder of what a source means."""
    if any(item.path == source.path for item in items):
        return os.path.dirname(_plain(source, source.path))
    if all(item.path.startswith(source.path + "/") for item in items):
        return source.path
    return globs.split(source.path)[0]
