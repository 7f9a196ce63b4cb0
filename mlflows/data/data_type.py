"""DataType: what the columns of a TabularDataset are to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from mlflows.exceptions import UserErrorException


class DataType:
    """The type of a column, for ``set_column_types``; made by its ``to_*`` functions."""

    def __init__(self, name: str, **options: Any) -> None:
        self._json: dict[str, Any] = {"type": name, **options}

    @staticmethod
    def to_string() -> DataType:
        """Text, as it stands in the file."""
        return DataType("string")

    @staticmethod
    def to_long() -> DataType:
        """Whole numbers."""
        return DataType("long")

    @staticmethod
    def to_float(decimal_mark: str = ".") -> DataType:
        """Numbers.

        Args:
            decimal_mark: ``.`` or ``,``.
        """
        if decimal_mark not in (".", ","):
            raise UserErrorException(f"decimal_mark: {decimal_mark!r} is neither '.' nor ','.")
        return DataType("float", decimal_mark=decimal_mark)

    @staticmethod
    def to_bool() -> DataType:
        """True or False: true, false, 1 and 0, whatever their case."""
        return DataType("bool")

    @staticmethod
    def to_stream(workspace: Any, escaped: bool = False) -> NoReturn:
        """Not in this version: raises UserErrorException."""
        raise UserErrorException(
            "DataType.to_stream: columns of files are not available in this version yet. Keep the paths as text, and the files in a "
            "FileDataset of their own."
        )

    @staticmethod
    def to_datetime(formats: str | list[str] | None = None) -> DataType:
        """Times.

        Args:
            formats: forms such as ``%d.%m.%Y``, tried in turn; without any, ISO's and what pandas guesses.
        """
        wanted = [formats] if isinstance(formats, str) else formats
        if wanted is not None and (
            not isinstance(wanted, list) or not wanted or not all(isinstance(each, str) and each for each in wanted)
        ):
            raise UserErrorException(f"formats: expected forms such as '%Y-%m-%d', got {formats!r}.")
        return DataType("datetime", formats=wanted)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataType) and self._json == other._json

    def __hash__(self) -> int:
        return hash(str(self._json))

    def __repr__(self) -> str:
        return f"DataType.to_{self._json['type']}()"


def types_of(set_column_types: Any) -> dict[str, Any]:
    """``set_column_types`` as JSON has it.

    Raises:
        UserErrorException: it is not a dict of names and DataTypes.
    """
    if set_column_types is None:
        return {}
    help_ = "Write for instance {'age': DataType.to_long()}."
    if not isinstance(set_column_types, Mapping):
        raise UserErrorException(f"set_column_types: expected a dict of columns and types, got {set_column_types!r}. {help_}")
    for name, wanted in set_column_types.items():
        if not isinstance(name, str) or not isinstance(wanted, DataType):
            raise UserErrorException(f"set_column_types: {name!r}: {wanted!r} is not a column and a DataType. {help_}")
    return {name: dict(wanted._json) for name, wanted in set_column_types.items()}
