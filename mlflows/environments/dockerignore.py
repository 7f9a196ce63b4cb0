"""The files of a build context, as Docker sees them: without what its .dockerignore names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

NAME = ".dockerignore"
"""Beside a Dockerfile, and with its name before it, it holds for that one alone, in the place of the folder's."""


def files(folder: Path, dockerfile: str = "Dockerfile") -> Iterator[str]:
    """Paths in the folder with ``/``, sorted; the Dockerfile itself always belongs to them. A link to a folder counts as a file."""
    own = folder / f"{dockerfile}{NAME}"
    rules = _rules(own if own.is_file() else folder / NAME)
    for root, folders, names in os.walk(folder):
        linked = [name for name in folders if os.path.islink(os.path.join(root, name))]
        folders[:] = sorted(name for name in folders if name not in linked)
        for name in sorted([*names, *linked]):
            path = Path(root, name).relative_to(folder).as_posix()
            if path == dockerfile or not _is_ignored(path, rules):
                yield path


def _rules(path: Path) -> list[tuple[bool, re.Pattern[str]]]:
    """Whether a rule excludes, and what it matches; the last that matches holds."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError:
        return []
    rules = []
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        excludes = not line.startswith("!")
        pattern = os.path.normpath((line if excludes else line[1:].strip()).lstrip("/"))
        if pattern != ".":
            rules.append((excludes, re.compile(_expression(pattern.replace(os.sep, "/")), re.DOTALL)))
    return rules


def _is_ignored(path: str, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    parts = path.split("/")
    beginnings = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    ignored = False
    for excludes, pattern in rules:
        if excludes != ignored and any(pattern.fullmatch(beginning) for beginning in beginnings):
            ignored = excludes
    return ignored


def _expression(pattern: str) -> str:
    """Go's filepath.Match with ``**``, as a regular expression."""
    found, index = "", 0
    while index < len(pattern):
        character = pattern[index]
        if pattern.startswith("**/", index):
            found, index = found + "(?:.*/)?", index + 3
            continue
        if pattern.startswith("**", index):
            found, index = found + ".*", index + 2
            continue
        end = pattern.find("]", index + 1) if character == "[" else -1
        if end > index:
            found, index = found + pattern[index : end + 1].replace("\\", "\\\\"), end + 1
            continue
        if character == "\\" and index + 1 < len(pattern):
            index += 1
            character = "\\" + pattern[index]
        found += {"*": "[^/]*", "?": "[^/]"}.get(character) or (re.escape(character[-1]))
        index += 1
    return found
