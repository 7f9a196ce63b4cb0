"""Partition formats: columns whose values are in the paths of files, as SDK v1 writes them.

``/{country}/{day:yyyy/MM/dd}/data.csv`` makes of ``sales/DE/2021/03/01/data.csv`` a text column ``country`` and a datetime ``day``. The
format goes from the first column to the end of the path; ``*`` stands for any part of a name.
"""

from __future__ import annotations

import re
from datetime import datetime

from mlflows.exceptions import UserErrorException

_FIELD = re.compile(r"\{(?P<name>[^{}:]*)(?::(?P<form>[^{}]*))?\}")
_DATE_PART = re.compile(r"yyyy|MM|dd|HH|mm|ss")
_DIGITS = {"yyyy": ("year", 4), "MM": ("month", 2), "dd": ("day", 2), "HH": ("hour", 2), "mm": ("minute", 2), "ss": ("second", 2)}

Value = str | datetime


class PartitionFormat:
    """A partition format.

    Raises:
        UserErrorException: it is not one; the message says what is wrong.
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or not text.strip("/"):
            raise UserErrorException(f"partition_format: expected text such as '/{{country}}/{{day:yyyy/MM/dd}}/data.csv', got {text!r}.")
        self.text = text
        self._forms: dict[str, list[str] | None] = {}
        """Column -> the parts of its date; None for text."""
        written, position = "", 0
        for match in _FIELD.finditer(text):
            written += self._literal(text[position : match.start()]) + self._field(match["name"].strip(), match["form"])
            position = match.end()
        written += self._literal(text[position:])
        if not self._forms:
            raise UserErrorException(f"partition_format: {text!r} names no column. Write for instance '/{{country}}/data.csv'.")
        self._pattern = re.compile(f"(?:.*/)?{written.removeprefix('/')}", re.DOTALL)

    @property
    def columns(self) -> list[str]:
        """The columns, in order."""
        return list(self._forms)

    def values(self, path: str) -> dict[str, Value]:
        """Column -> value of a path.

        Raises:
            UserErrorException: the path is not of this format, or holds a date that there is not.
        """
        match = self._pattern.fullmatch(path)
        if match is None:
            raise UserErrorException(
                f"partition_format: {path!r} is not of the format {self.text!r}, which goes from the first column to the end of the path."
            )
        found: dict[str, Value] = {}
        for index, (column, parts) in enumerate(self._forms.items()):
            found[column] = match[f"c{index}"] if parts is None else self._date(path, match, index, parts)
        return found

    def _date(self, path: str, match: re.Match[str], index: int, parts: list[str]) -> datetime:
        """What the format does not say is the first: January, the 1st, midnight."""
        given = {_DIGITS[part][0]: int(match[f"c{index}_{part}"]) for part in parts}
        try:
            return datetime(**{"year": 1900, "month": 1, "day": 1, **given})  # type: ignore[arg-type]
        except ValueError as error:
            raise UserErrorException(f"partition_format: {path!r} has no date that there is ({error}).") from None

    def _field(self, name: str, form: str | None) -> str:
        if not name or name in self._forms:
            why = "a column without a name" if not name else f"the column {name!r} twice"
            raise UserErrorException(f"partition_format: {self.text!r} has {why}.")
        index = len(self._forms)
        if form is None:
            self._forms[name] = None
            return f"(?P<c{index}>[^/]+)"
        parts = _DATE_PART.findall(form)
        rest = _DATE_PART.sub("", form)
        if not parts or len(set(parts)) < len(parts) or re.search(r"[A-Za-z]", rest):
            raise UserErrorException(
                f"partition_format: {form!r} of column {name!r} is not a form of dates. Use yyyy, MM, dd, HH, mm and ss, each once at most."
            )
        self._forms[name] = parts
        written, position = "", 0
        for match in _DATE_PART.finditer(form):
            written += re.escape(form[position : match.start()]) + f"(?P<c{index}_{match[0]}>[0-9]{{{_DIGITS[match[0]][1]}}})"
            position = match.end()
        return written + re.escape(form[position:])

    def _literal(self, text: str) -> str:
        if "{" in text or "}" in text:
            raise UserErrorException(f"partition_format: the brackets of {self.text!r} do not match.")
        return "[^/]*".join(map(re.escape, text.split("*")))
