"""Tags, properties, parent and children of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlflows.exceptions import UserErrorException
from mlflows.history import describe, limits, runs
from mlflows.history import tags as names
from mlflows.history.base import BaseRun
from mlflows.history.status import RunStatus

MAX_CHILDREN = 100


class Tree(BaseRun):
    """The half of Run that is about what it is called and what belongs to it."""

    @property
    def tags(self) -> dict[str, str]:
        """Tags as last read; get_tags reads them again."""
        return names.user_tags(self._record().tags)

    @property
    def properties(self) -> dict[str, str]:
        """Properties as last read; get_properties reads them again."""
        return describe.properties_of(self._record())

    @property
    def display_name(self) -> str:
        """Name shown for the run."""
        return self._record().tags.get(names.RUN_NAME) or self.id

    @display_name.setter
    def display_name(self, value: str) -> None:
        self._tracking().update_run(self._ref.mlflow_run_id, name=str(value))
        self._cached = None

    @property
    def description(self) -> str | None:
        """Description shown for the run."""
        return self._record().tags.get(names.NOTE)

    @description.setter
    def description(self, value: str) -> None:
        self._write_tags({names.NOTE: value})

    @property
    def parent(self) -> Any:
        """The parent run, or None."""
        parent = self._record().tags.get(names.PARENT_RUN_ID)
        return self._related(self._tracking().get_run(parent)) if parent else None

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag; its value becomes a string."""
        self._write_tags({_user_key(key): value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags.

        Raises:
            UserErrorException: not a dict, or a key that is reserved.
        """
        _checked_dict("tags", tags)
        self._write_tags({_user_key(key): value for key, value in tags.items()})

    def get_tags(self) -> dict[str, str]:
        """Tags as they are now."""
        self._refresh()
        return self.tags

    def remove_tags(self, tags: str | Iterable[str]) -> None:
        """Remove one tag or several; one that is not there is no error."""
        for key in [tags] if isinstance(tags, str) else tags:
            self._tracking().delete_tag(self._ref.mlflow_run_id, _user_key(key))
        self._cached = None

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties, each of which is written once.

        Raises:
            UserErrorException: not a dict, or a property that is there already with another value.
        """
        _checked_dict("properties", properties)
        known = self.get_properties()
        for key, value in properties.items():
            if known.get(str(key), str(value)) != str(value):
                raise UserErrorException(f"Property {key!r} is {known[str(key)]!r} already; properties cannot be changed, tags can")
        self._write_tags({names.PROPERTY_PREFIX + str(key): value for key, value in properties.items()})

    def get_properties(self) -> dict[str, str]:
        """Properties as they are now."""
        self._refresh()
        return self.properties

    def get_children(
        self,
        recursive: bool = False,
        tags: str | Mapping[str, Any] | None = None,
        properties: str | Mapping[str, Any] | None = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Any]:
        """Child runs, newest first, that have all that is asked for."""
        for child in runs.children(self._tracking(), self._record(), recursive):
            if runs.matches(child, tags, properties, type, status):
                yield self._related(child)

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: str | None = None) -> Any:
        """Start a child run, to be completed by whoever started it."""
        return self._new_child(name, run_id, {})

    def create_children(self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[Any] | None = None) -> list[Any]:
        """Several child runs: ``count``, or one for each of ``tag_values`` with the tag ``tag_key``; at most 100.

        Raises:
            UserErrorException: neither or both, or too many.
        """
        return [self._new_child(None, None, tags) for tags in _children_tags(count, tag_key, tag_values)]

    def submit_child(self, config: Any, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Submit a configuration as a child of this run; goes through ``experiment.submit``."""
        return self._experiment.submit(config, tags=tags, _parent_run_id=self.id, **kwargs)

    def _new_child(self, name: str | None, run_id: str | None, tags: Mapping[str, str]) -> Any:
        tracking, identity = self._tracking(), run_id or f"{self.id}_{os.urandom(4).hex()}"
        own = {**tags, names.TYPE: self._record().tags.get(names.TYPE, runs.INTERACTIVE_RUN)}
        ref = runs.create(tracking, self._ref.experiment, identity, name, own, self._ref.mlflow_run_id, RunStatus.RUNNING)
        return self._related(tracking.get_run(ref.mlflow_run_id))

    def _write_tags(self, tags: Mapping[str, Any]) -> None:
        self._tracking().log_batch(self._ref.mlflow_run_id, tags=tags)
        self._cached = None


def _user_key(key: str) -> str:
    if str(key).startswith(names.PREFIX):
        raise UserErrorException(f"Tag {key!r} begins with {names.PREFIX!r}, which is reserved; use another name")
    return limits.key_of(str(key))


def _checked_dict(field: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise UserErrorException(f"{field} must be a dict, not a {type(value).__name__}: {value!r}")


def _children_tags(count: int | None, tag_key: str | None, tag_values: Sequence[Any] | None) -> list[dict[str, str]]:
    if count is not None:
        if tag_key is not None or tag_values is not None:
            raise UserErrorException("create_children: give either count, or tag_key and tag_values")
        if not isinstance(count, int) or not 1 <= count <= MAX_CHILDREN:
            raise UserErrorException(f"create_children: count is {count!r}; 1 to {MAX_CHILDREN} can be made at once")
        return [{}] * count
    if not tag_key or not tag_values:
        raise UserErrorException("create_children: give count, or tag_key together with tag_values")
    if len(tag_values) > MAX_CHILDREN:
        raise UserErrorException(f"create_children: {len(tag_values)} tag_values; at most {MAX_CHILDREN} children can be made at once")
    return [{tag_key: str(value)} for value in tag_values]
