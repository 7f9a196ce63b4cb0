"""What ``filter`` takes: ``dataset["age"] > 30``, put together with ``&``, ``|`` and ``~``. JSON inside, so that a dataset can keep it."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from datetime import date, datetime, timezone
from typing import Any, NoReturn

from mlflows.exceptions import UserErrorException

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Expression:
    """A condition, or what conditions are made of."""

    def __init__(self, tree: list[Any]) -> None:
        self._tree = tree

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._compared("==", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return self._compared("!=", other)

    def __lt__(self, other: Any) -> Expression:
        return self._compared("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._compared("<=", other)

    def __gt__(self, other: Any) -> Expression:
        return self._compared(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._compared(">=", other)

    def __and__(self, other: Any) -> Expression:
        return Expression(["and", self._tree, _condition(other)])

    def __or__(self, other: Any) -> Expression:
        return Expression(["or", self._tree, _condition(other)])

    def __invert__(self) -> Expression:
        return Expression(["not", self._tree])

    def is_null(self) -> Expression:
        """Whether there is no value."""
        return Expression(["null", self._tree])

    def __bool__(self) -> NoReturn:
        raise UserErrorException("A condition of a dataset has no truth by itself. Write & for and, | for or, ~ for not, with brackets.")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Expression({json.dumps(self._tree)})"

    def _compared(self, how: str, other: Any) -> Expression:
        return Expression([how, self._tree, other._tree if isinstance(other, Expression) else _constant(other)])


def column(name: Any) -> Expression:
    """A column of a table, or one of a partition format."""
    if not isinstance(name, str) or not name:
        raise UserErrorException(f"key: {name!r} is not the name of a column.")
    return Expression(["column", name])


def file_metadata(name: Any) -> Expression:
    """What is known of a file."""
    if name not in METADATA:
        raise UserErrorException(f"col: {name!r} is not one of {', '.join(METADATA)}.")
    return Expression(["file", name])


METADATA = ("Size", "LastModifiedTime", "Extension", "CanSeek")


def tree_of(expression: Any) -> list[Any]:
    """The JSON form of a condition.

    Raises:
        UserErrorException: it is none.
    """
    if not isinstance(expression, Expression) or expression._tree[0] in ("column", "file", "value", "time"):
        raise UserErrorException(f"expression: {expression!r} is not a condition. Write for instance dataset['age'] > 30.")
    return expression._tree


def evaluate(tree: list[Any], look_up: Callable[[str, str], Any]) -> Any:
    """The value: of columns that are pandas' Series a Series, of single values a bool.

    Args:
        tree: what tree_of gave.
        look_up: value of ``("column" | "file", name)``.

    Raises:
        UserErrorException: a column cannot be compared with what it is compared with.
    """
    kind = tree[0]
    if kind in ("column", "file"):
        return look_up(kind, tree[1])
    if kind == "value":
        return tree[1]
    if kind == "time":
        return datetime.fromisoformat(tree[1])
    values = [evaluate(each, look_up) for each in tree[1:]]
    if kind == "null":
        return values[0].isna() if hasattr(values[0], "isna") else values[0] is None
    if kind == "not":
        return (not values[0]) if isinstance(values[0], bool) else ~values[0]
    if kind in ("and", "or"):
        return values[0] & values[1] if kind == "and" else values[0] | values[1]
    left, right = alike(values[0], values[1])
    try:
        return _COMPARE[kind](left, right)
    except TypeError as error:
        raise UserErrorException(f"expression: {json.dumps(tree)} compares what cannot be compared ({error}).") from error


def alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both sides of a comparison of times: one without a time zone is taken as UTC."""
    aware = [_is_aware(each) for each in (left, right)]
    if None in aware or aware[0] == aware[1]:
        return left, right
    return (left if aware[0] else _as_utc(left)), (right if aware[1] else _as_utc(right))


def _is_aware(value: Any) -> bool | None:
    """None for what is no time."""
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if "datetime64" in str(getattr(value, "dtype", "")):
        return getattr(value.dtype, "tz", None) is not None
    return None


def _as_utc(value: Any) -> Any:
    return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value.dt.tz_localize("UTC")


def _condition(other: Any) -> list[Any]:
    if not isinstance(other, Expression):
        raise UserErrorException(f"expression: {other!r} is not a condition. Put comparisons in brackets: (a > 1) & (b < 2).")
    return other._tree


def _constant(value: Any) -> list[Any]:
    if isinstance(value, datetime):
        return ["time", value.isoformat()]
    if isinstance(value, date):
        return ["time", datetime(value.year, value.month, value.day).isoformat()]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):  # numpy's scalars
        value = value.item()
    if not isinstance(value, (str, int, float, bool)):
        raise UserErrorException(f"expression: {value!r} cannot be compared with. Give text, a number or a time; is_null() asks for none.")
    return ["value", value]
