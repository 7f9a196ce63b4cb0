"""Patterns of paths, as SDK v1's datasets have them: ``*``, ``?`` and ``[...]`` inside a name, ``**`` for any folders."""

from __future__ import annotations

import functools
import re

from mlflows.exceptions import UserErrorException

_MAGIC = re.compile(r"[*?\[]")


def has_pattern(path: str) -> bool:
    """Whether a path has a pattern in it."""
    return _MAGIC.search(path) is not None


def split(path: str) -> tuple[str, str]:
    """The folder that holds all a pattern can match, and the rest; without a pattern all of it is folder."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if has_pattern(part):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return path, ""


def beginning(path: str) -> str:
    """The text that all a pattern can match begins with."""
    found = _MAGIC.search(path)
    return path[: found.start()] if found else path


def matches(pattern: str, path: str) -> bool:
    """Whether a path relative to the pattern's folder is meant: ``a/**`` is all below a, ``**/*.csv`` also the files at the top."""
    return _compiled(pattern).fullmatch(path) is not None


def inside(field: str, path: str) -> str:
    """A relative path with ``/`` and without needless parts.

    Raises:
        UserErrorException: it leads out of where it is relative to, or has a character that no path has.
    """
    if "\0" in path:
        raise UserErrorException(f"{field}: {path!r} has a null character, which no path has.")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UserErrorException(f"{field}: {path!r} leads out of its place. Give a path without '..'.")
    return "/".join(parts)


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = pattern.split("/")
    written = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            written += ".+" if last else "(?:[^/]+/)*"
        else:
            written += _name(part) + ("" if last else "/")
    return re.compile(written, re.DOTALL)


def _name(pattern: str) -> str:
    """Of one part of a path; ``**`` inside a part is one star."""
    written, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        end = pattern.find("]", position + 2) if character == "[" else -1
        if character == "*":
            written += "[^/]*"
        elif character == "?":
            written += "[^/]"
        elif end > 0:
            inner = pattern[position + 1 : end]
            negated = inner[0] in "!^"
            written += f"(?!/)[{'^' if negated else ''}{_class(inner[1:] if negated else inner)}]"
            position = end
        else:
            written += re.escape(character)
        position += 1
    return written


def _class(inner: str) -> str:
    """What stands in brackets: ranges stay ranges, unless they run backwards."""
    pieces, position = [], 0
    while position < len(inner):
        if inner[position + 1 : position + 2] == "-" and position + 2 < len(inner) and inner[position] <= inner[position + 2]:
            pieces.append(f"{re.escape(inner[position])}-{re.escape(inner[position + 2])}")
            position += 3
        else:
            pieces.append(re.escape(inner[position]))
            position += 1
    return "".join(pieces)
