"""Snapshots in the default datastore: what is taken on one machine can be run and read on another.

They lie there as on this machine (snapshot.py), below ``.mlflows/snapshots``, so runs share their contents there, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlflows.data import snapshot, transfer, view, workspace_file
from mlflows.data.datastore import Datastore
from mlflows.data.datastore_kinds import DEFAULT_NAME
from mlflows.data.definition import DataFile
from mlflows.data.store import OWN_FOLDER, Item, Store
from mlflows.exceptions import SnapshotException

PREFIX = f"{OWN_FOLDER}/snapshots"


def is_wanted(workspace: Any) -> bool:
    """Whether the workspace has another default datastore than this machine's own."""
    return bool(workspace_file.read(workspace.name).get("default_datastore", DEFAULT_NAME) != DEFAULT_NAME)


def push(workspace: Any, identifier: str) -> int:
    """Bring a snapshot of this machine into the workspace's default datastore; the number of files sent.

    The manifest goes last: where it is, all of the snapshot is.

    Raises:
        AzureMLException: the datastore does not take it.
    """
    store, local = _default_store(workspace), snapshot.store_of(workspace.name)
    last = f"{PREFIX}/{snapshot.manifest(identifier)}"
    if store is None or store.item(last) is not None:
        return 0
    text = (local / snapshot.manifest(identifier)).read_bytes()
    pairs = [(str(local / path), f"{PREFIX}/{path}") for path in sorted(snapshot.blobs(identifier, text))]
    there = transfer.found(store, [path for _, path in pairs])
    missing = [pair for pair in pairs if pair[1] not in there]
    transfer.upload(store, missing, f"{PREFIX}/blobs", True, show_progress=False)
    store.put(str(local / snapshot.manifest(identifier)), last, lambda size: None)
    return len(missing) + 1


def pull(workspace: Any, identifier: str) -> None:
    """Bring a snapshot to this machine, if it is not here and the workspace's default datastore has it.

    Raises:
        SnapshotException: what is there is not what the snapshot is made of.
        AzureMLException: the datastore does not answer.
    """
    local = snapshot.store_of(workspace.name)
    manifest = local / snapshot.manifest(identifier)
    store = None if manifest.exists() else _default_store(workspace)
    found = store.item(f"{PREFIX}/{snapshot.manifest(identifier)}") if store is not None else None
    if store is None or found is None:
        return
    with _incoming(local) as folder:
        text = _fetched(store, found, folder / "manifest").read_bytes()
        missing = {path: content for path, content in snapshot.blobs(identifier, text).items() if not (local / path).exists()}
        items = transfer.found(store, [f"{PREFIX}/{path}" for path in missing])
        if len(items) < len(missing):
            raise SnapshotException(
                f"The snapshot {identifier} in {store.place} is not whole. Submit the run again from where its code is."
            )
        view.fill([DataFile(path, store, item, {}) for path, item in items.items()], str(folder / "files"), True, lambda size: None)
        for path, content in missing.items():
            _keep(folder / "files" / PREFIX / path, local / path, content)
        _keep(folder / "manifest", manifest, identifier)


def _default_store(workspace: Any) -> Store | None:
    """None where it is this machine's folder, in which snapshots are taken."""
    datastore = Datastore.get_default(workspace)
    return None if datastore.name == DEFAULT_NAME else datastore._store()


@contextlib.contextmanager
def _incoming(local: Path) -> Iterator[Path]:
    folder = local / "tmp" / f"incoming-{os.urandom(8).hex()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        view.remove(str(folder))


def _fetched(store: Store, item: Item, target: Path) -> Path:
    store.fetch(item, str(target), lambda size: None)
    return target


def _keep(source: Path, target: Path, content: str) -> None:
    with open(source, "rb") as handle:
        digest = hashlib.sha256()
        while data := handle.read(1 << 20):
            digest.update(data)
    if digest.hexdigest() != content:
        raise SnapshotException(f"{target.name} of a snapshot arrived damaged. Run this again.")
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)
