"""Named things with versions 1, 2, 3 ..., each version a block of a Prefect server: environments, datasets.

A block document is named ``<slug>-<8 hex of the exact name>-<version>``, and the server refuses a second one of a name: of several people
who add at once one gets the next version, and the others look again. Standard library only, but where a server does not know the type of
block yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlflows import blocks
from mlflows.exceptions import ServiceException
from mlflows.rest import RestClient

_TRIES = 1000

Document = dict[str, Any]


@dataclass(frozen=True)
class Added:
    """A version, and the document it is kept in; ``new`` if it was made and not found."""

    number: int
    id: str
    new: bool


@dataclass(frozen=True)
class Kind:
    """A kind of things with versions.

    Attributes:
        slug: of the type of block.
        word: what a message calls such a thing, also the beginning of a block's name that has no letter of its own.
        name_field: field of the block with the exact name; names of blocks allow less.
        make_known: tells the Prefect server at an address the type of block.
    """

    slug: str
    word: str
    name_field: str
    make_known: Callable[[str], None]

    def block_name(self, name: str, version: int | str, scope: str = "") -> str:
        """Name of the block document of a version. Things of the same name in different scopes are different things."""
        return f"{self._prefix(name, scope)}{version}"

    def of(self, client: RestClient, name: str, scope: str = "") -> dict[int, Document]:
        """Version -> block document of a thing, in order."""
        prefix = self._prefix(name, scope)
        found = {number(document["name"].removeprefix(prefix)): document for document in blocks.beginning(client, self.slug, prefix)}
        return {each: found[each] for each in sorted(found) if each and found[each]["data"].get(self.name_field) == name}

    def newest(self, client: RestClient, wanted: Callable[[Document], bool] = lambda document: True) -> dict[str, tuple[int, Document]]:
        """Name -> newest version and its document, of all things whose documents are ``wanted``; sorted by name."""
        newest: dict[str, tuple[int, Document]] = {}
        for document in blocks.beginning(client, self.slug, ""):
            name, version = document["data"].get(self.name_field), number(document["name"].rpartition("-")[2])
            if name and version and wanted(document) and version > newest.get(name, (0,))[0]:
                newest[name] = (version, document)
        return {name: newest[name] for name in sorted(newest)}

    def add(
        self,
        client: RestClient,
        name: str,
        data_of: Callable[[int], Mapping[str, Any]],
        same: Callable[[Mapping[int, Document]], int | None],
        scope: str = "",
    ) -> Added:
        """The version that ``same`` finds among those there are, or the next one, with the data that ``data_of`` gives for it.

        What ``same`` raises is passed on: it sees the versions as they are at the moment that decides.

        Raises:
            ServiceException: the server refuses, or does not answer.
        """
        ids: dict[str, str] = {}
        for _ in range(_TRIES):
            versions = self.of(client, name, scope)
            found = same(versions)
            if found is not None:
                return Added(found, str(versions[found]["id"]), new=False)
            version = max(versions, default=0) + 1
            ids = ids or blocks.type_of(client, self.slug, lambda: self.make_known(client.base_url))
            try:
                return Added(version, blocks.create(client, ids, self.block_name(name, version, scope), data_of(version)), new=True)
            except blocks.Taken:  # somebody was quicker: perhaps with the same
                continue
        raise ServiceException(
            f"{self.word.capitalize()} {name!r} was not registered: in {_TRIES} attempts somebody else was always quicker. Try again."
        )

    def _prefix(self, name: str, scope: str) -> str:
        exact = f"{scope}/{name}" if scope else name
        return f"{blocks.slug(name) or self.word}-{blocks.name_hash(exact)}-"


def number(version: str) -> int:
    """The number of a version; 0 for what is no version."""
    return int(version) if version.isascii() and version.isdecimal() else 0
