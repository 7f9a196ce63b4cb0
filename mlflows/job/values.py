"""What may be logged, and what becomes of values that JSON does not know (numpy, torch, Decimal)."""

import json
import sys

from mlflows.exceptions import AzureMLException, UserErrorException

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

_SERIES = (list, tuple, set, frozenset, range)
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def scalar(name, value):
    # type: (str, Any) -> Any
    """``value`` as a number, bool, string or None.

    A numpy or torch scalar gives its ``item()``. What has no JSON form is logged as a string, with a warning, as SDK v1 does.

    Raises:
        UserErrorException: several values, or an integer wider than 64 bits.
    """
    if isinstance(value, bool) or value is None or isinstance(value, (float, str)):
        return float(value) if isinstance(value, float) else value
    if isinstance(value, int):
        return _integer(name, value)
    if is_series(value):
        raise UserErrorException(
            "The value of metric {!r} is a {}, not a single value: use run.log_list".format(name, type(value).__name__)
        )
    item = getattr(value, "item", None)
    if callable(item):
        return scalar(name, item())
    if hasattr(value, "__float__"):
        return float(value)
    sys.stderr.write("mlflows: the value of metric {!r} is a {}; it is logged as a string\n".format(name, type(value).__name__))
    return str(value)


def is_series(value):
    # type: (Any) -> bool
    """Whether a value is several: a sequence, a set, a generator, an array with dimensions."""
    if isinstance(value, (str, bytes, dict)):
        return False
    if isinstance(value, _SERIES) or hasattr(value, "__next__"):
        return True
    if hasattr(value, "numel"):  # a torch tensor: one element in any shape is a value there
        return bool(value.numel() != 1)
    if hasattr(value, "ndim"):
        return bool(value.ndim != 0)
    return hasattr(value, "__iter__")


def scalars(name, values):
    # type: (str, Any) -> list[Any]
    """A list metric's values.

    Raises:
        UserErrorException: not a series.
        AzureMLException: an element is not a single value.
    """
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not is_series(values):
        raise UserErrorException("The value of list {!r} must be a list, not a {}: use run.log".format(name, type(values).__name__))
    return [_element(name, value) for value in values]


def table(name, value):
    # type: (str, Any) -> dict[str, Any]
    """A table's columns, each a list of the same length; a column given as one value counts as a list of one.

    Raises:
        UserErrorException: not a dict of columns, or columns of different lengths.
    """
    if not isinstance(value, dict):
        raise UserErrorException(
            "The value of table {!r} must be a dict of columns, not a {}: use {{'column': [values]}}".format(name, type(value).__name__)
        )
    columns = {str(key): scalars(name, column) if is_series(column) else [_element(name, column)] for key, column in value.items()}
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join("{} has {}".format(key, len(column)) for key, column in columns.items())
        raise UserErrorException("The columns of table {!r} differ in length ({})".format(name, lengths))
    return columns


def document(name, value):
    # type: (str, Any) -> dict[str, Any]
    """A confusion matrix and its like: a dict with schema_type, schema_version and data, or the same as JSON text.

    Raises:
        UserErrorException: not JSON, not a dict, a key missing.
    """
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value if isinstance(value, str) else value.decode("utf-8"))
        except ValueError as error:
            raise UserErrorException("The value of {!r} is not JSON: {}".format(name, error))
    if not isinstance(value, dict):
        raise UserErrorException("The value of {!r} must be a dict or JSON text, not a {}".format(name, type(value).__name__))
    missing = [key for key in ("schema_type", "schema_version", "data") if key not in value]
    if missing:
        raise UserErrorException("The value of {!r} lacks {}".format(name, ", ".join(missing)))
    return value


def step_number(name, step):
    # type: (str, Any) -> int | None
    """``step`` as an integer.

    Raises:
        UserErrorException: it has no integer value.
    """
    if step is None:
        return None
    try:
        return int(step)
    except (TypeError, ValueError):
        raise UserErrorException("The step of metric {!r} must be an integer, not {!r}".format(name, step))


def strings(mapping, what):
    # type: (object, str) -> dict[str, Any]
    """A dict of tags or properties, keys and values as strings.

    Raises:
        UserErrorException: not a dict.
    """
    if not isinstance(mapping, dict):
        raise UserErrorException("{} must be a dict, not a {}".format(what, type(mapping).__name__))
    return {str(key): str(value) for key, value in mapping.items()}


def _integer(name, value):
    # type: (str, int) -> int
    if not _LOWEST <= value <= _HIGHEST:
        raise UserErrorException("The value of metric {!r} is an integer wider than 64 bits: use float({!r})".format(name, name))
    return int(value)


def _element(name, value):
    # type: (str, Any) -> Any
    if is_series(value) or isinstance(value, dict):
        raise AzureMLException("An element of {!r} is a {}, not a single value".format(name, type(value).__name__))
    return scalar(name, value)
