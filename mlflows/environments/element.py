"""Base of every section of a configuration: declared attributes only, and a camelCase dictionary as its written form.

It stands in this room, not in ``config``, because ``Environment`` is made of such sections too and a room imports only from below.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from mlflows.exceptions import UserErrorException

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)


class Element:
    """A section: its public annotations are its attributes, any other name is refused.

    Attributes that are properties cannot be annotated; a class names those in ``_properties``. ``_keys`` gives the written name of an
    attribute where it is not the camelCase of its own; ``_item_types`` the class of the values of an attribute that is a mapping;
    ``_obsolete_keys`` what older files contain and nobody needs.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _properties: ClassVar[tuple[str, ...]] = ()
    _keys: ClassVar[Mapping[str, str]] = {}
    _item_types: ClassVar[Mapping[str, type[Element]]] = {}
    _obsolete_keys: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name in cls.__annotations__ if not name.startswith("_")]
        own += cls.__dict__.get("_properties", ())
        cls._fields = tuple(dict.fromkeys([*cls._fields, *own]))

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a declared attribute.

        Raises:
            AttributeError: the section has no such attribute; the message names the nearest one.
        """
        if name in self._fields or name.startswith("_") or isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        raise AttributeError(_unknown_attribute(type(self), name))

    if not TYPE_CHECKING:  # a type checker would take this for "has every attribute"

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(_unknown_attribute(type(self), name))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Element) and self._serialize_to_dict() == other._serialize_to_dict()

    __hash__ = None  # type: ignore[assignment]  # sections are mutable

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields)
        return f"{type(self).__name__}({values})"

    def _serialize_to_dict(self) -> dict[str, Any]:
        """The section as a dictionary with camelCase keys and plain values."""
        return {self._key(name): _plain(getattr(self, name)) for name in self._fields}

    @classmethod
    def _deserialize(cls, value: Mapping[str, Any]) -> Self:
        """The section that ``value``, the form of ``_serialize_to_dict``, describes.

        Keys are taken whatever their case; what is missing or null keeps its default; an unknown key is logged and left out.

        Raises:
            UserErrorException: a nested section is not a mapping.
        """
        section = cls()
        section._update(value)
        return section

    def _update(self, value: Mapping[str, Any]) -> None:
        self._check_mapping(value)
        names = {self._key(name).lower(): name for name in self._fields}
        for key, item in value.items():
            name = names.get(str(key).lower())
            if name is not None:
                self._set_plain(name, item)
            elif str(key) not in self._obsolete_keys:
                near = nearest(str(key), [self._key(field) for field in self._fields])
                logger.warning("%s: unknown key %r is left out.%s", type(self).__name__, key, near)

    def _check_mapping(self, value: Any) -> None:
        """For those who look into a value before ``_update`` does."""
        if not isinstance(value, Mapping):
            raise UserErrorException(f"{type(self).__name__}: expected a mapping, got {value!r}.")

    def _set_plain(self, name: str, item: Any) -> None:
        current = getattr(self, name)
        if item is None and isinstance(current, (Element, list, dict)):
            return
        if isinstance(current, Element):
            current._update(item)
        elif name in self._item_types:
            setattr(self, name, {key: self._item_types[name]._deserialize(part) for key, part in item.items()})
        else:
            setattr(self, name, item)

    @classmethod
    def _key(cls, name: str) -> str:
        return cls._keys.get(name) or camel_case(name)


def camel_case(name: str) -> str:
    """``node_count`` as ``nodeCount``."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def nearest(name: str, known: list[str]) -> str:
    """`` Did you mean 'x'?``, to end a message with; empty if nothing is near."""
    import difflib  # only on the way to an error message

    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def _unknown_attribute(section: type[Element], name: str) -> str:
    near = nearest(name, list(section._fields)) or f" It has: {', '.join(section._fields)}."
    return f"{section.__name__} has no attribute {name!r}.{near}"


def _plain(value: Any) -> Any:
    if isinstance(value, Element):
        return value._serialize_to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
