"""Text files that a person wrote, wherever they were edited, and what their lines for pip name beside them."""

from __future__ import annotations

import codecs
import os
import re

from mlflows.exceptions import UserErrorException

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NAMES_A_FILE = re.compile(r"(--requirement|--constraint|-r|-c)(?:\s+|=|(?<=-[rc]))(\S.*)")


def read_text(path: str | os.PathLike[str]) -> str:
    """Text in UTF-8, or in UTF-16 where it begins with that encoding's mark; the mark itself is no part of it.

    Raises:
        FileNotFoundError: there is no such file.
        UserErrorException: it cannot be read, or is no text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserErrorException(
            f"{os.fspath(path)} cannot be read: {error.strerror}. Give the path of a file that you may read.", error
        ) from error
    try:
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserErrorException(
            f"{os.fspath(path)} is not text in UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8.", error
        ) from error
    if "\0" in text:
        raise UserErrorException(f"{os.fspath(path)} is not text in UTF-8: there is a NUL character in it. Save it as UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def beside(line: str, folder: str) -> str:
    """A line for pip; the file that ``-r`` or ``-c`` names gets its absolute path if it lies in ``folder``."""
    match = _NAMES_A_FILE.fullmatch(line.strip())
    if match is None:
        return line
    path = os.path.abspath(os.path.join(folder, os.path.expanduser(match.group(2))))
    return f"{match.group(1)} {path}" if os.path.isfile(path) else line
