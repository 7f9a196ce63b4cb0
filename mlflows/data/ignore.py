"""Which files of a source directory belong to its snapshot.

SDK v1's rule: ``.amlignore`` in the root of the folder if it is there, else ``.gitignore`` in the root; no other ignore file counts.
With neither, SDK v1 left out nothing and so ran into its limits; here what is certainly not code is left out and named.

The patterns are git's, with one difference that SDK v1 has as well: ``!pattern`` brings a file back also from below an excluded
folder. They are translated here, and not by pathspec, because importing that costs more than scanning a project does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Protocol

IGNORE_FILES = (".amlignore", ".gitignore")
"""In the order in which they are looked for; the first one found counts alone."""

NEVER_CODE = frozenset(
    {
        "__pycache__",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".tox",
        ".nox",
        ".eggs",
        ".cache",
        ".venv",
        ".DS_Store",
        "node_modules",
    }
)
"""Left out at any depth when there is no ignore file."""

ROOT_RESULTS = frozenset({"outputs", "logs", "mlruns", "mlruns.db", "mlflow.db"})
"""What runs leave behind: left out in the root alone, for deeper down it may be a package."""

ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
"""A folder that holds one of these is a virtual or conda environment, whatever its name."""


class Rules(Protocol):
    """Decides over a tree from its root downwards.

    A state is a number that a folder hands down to what is in it; the root's is 0.
    """

    detects_environments: bool
    """Whether folders with one of ENVIRONMENT_MARKS are left out."""
    prunes: bool
    """Whether nothing below an excluded folder can be included again."""
    reports: bool
    """Whether a person should be told what was left out, since they did not say so themselves."""

    excluding: frozenset[int]
    """The states of entries that are left out."""

    def state(self, above: int, path: str, name: str, is_folder: bool) -> int:
        """State of an entry, from that of its folder."""


def rules_of(source: str) -> Rules:
    """The rules of a source directory."""
    for name in IGNORE_FILES:
        try:
            with open(os.path.join(source, name), encoding="utf-8-sig", errors="surrogateescape") as handle:
                return PatternRules(handle)
        except (FileNotFoundError, IsADirectoryError):
            continue
    return DefaultRules(source)


class DefaultRules:
    """For a folder without an ignore file."""

    detects_environments = True
    prunes = True
    reports = True
    excluding = frozenset({1})

    def __init__(self, source: str) -> None:
        self._source = source

    def state(self, above: int, path: str, name: str, is_folder: bool) -> int:
        if name in NEVER_CODE or name.endswith(".pyc"):
            return 1
        return int(path in ROOT_RESULTS and not (is_folder and self._is_package(path)))

    def _is_package(self, path: str) -> bool:
        return os.path.exists(os.path.join(self._source, path, "__init__.py"))


class PatternRules:
    """The lines of an ignore file; the last line that matches an entry, or a folder above it, decides.

    The state is the number of that line among the valid ones, counted from 1. A line that is not a valid pattern matches nothing.
    """

    detects_environments = False
    reports = False

    def __init__(self, lines: Iterable[str]) -> None:
        negated = [False]
        names, paths = _Matcher(), _Matcher()
        for line in lines:
            pattern = _parse(line)
            if pattern is None:
                continue
            negated.append(pattern.negated)
            (names if pattern.on_name else paths).add(pattern, len(negated) - 1)
        self.prunes = not any(negated)
        self.excluding = frozenset(number for number, no in enumerate(negated) if number and not no)
        self._names, self._paths = names.finished(), paths.finished()

    def state(self, above: int, path: str, name: str, is_folder: bool) -> int:
        number = self._names.last(name, is_folder)
        if self._paths.empty:
            return number if number > above else above
        return max(above, number, self._paths.last(path, is_folder))


class _Pattern:
    """One valid line: ``text`` is a regular expression for the whole of a name or path, ``literal`` the same if it has no wildcard."""

    __slots__ = ("negated", "folders_only", "on_name", "text", "literal")

    def __init__(self, negated: bool, folders_only: bool, on_name: bool, text: str, literal: str | None) -> None:
        self.negated = negated
        self.folders_only = folders_only
        self.on_name = on_name
        self.text = text
        self.literal = literal


class _Matcher:
    """Finds the last of many patterns that matches: plain names by a look-up, all others by one regular expression."""

    def __init__(self) -> None:
        self.empty = True
        self._literals: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._texts: tuple[list[tuple[int, str]], list[tuple[int, str]]] = ([], [])
        self._regexes: list[re.Pattern[str] | None] = [None, None]
        self._numbers: list[list[int]] = [[], []]
        self._seen: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def add(self, pattern: _Pattern, number: int) -> None:
        """Numbers rise from call to call."""
        self.empty = False
        for kind in (1,) if pattern.folders_only else (0, 1):
            if pattern.literal is not None:
                self._literals[kind][pattern.literal] = number
            else:
                self._texts[kind].append((number, pattern.text))

    def finished(self) -> _Matcher:
        """Compile: the first alternative that matches is the last line that matches."""
        for kind in (0, 1):
            texts = self._texts[kind][::-1]
            if texts:
                self._numbers[kind] = [number for number, _ in texts]
                self._regexes[kind] = re.compile("(?:" + "|".join(f"({text})" for _, text in texts) + r")\Z", re.DOTALL)
        return self

    def last(self, text: str, is_folder: bool) -> int:
        """Number of the last pattern that matches; 0 if none does."""
        seen = self._seen[is_folder]
        number = seen.get(text)
        if number is None:
            number = seen[text] = self._search(text, is_folder)
        return number

    def _search(self, text: str, kind: int) -> int:
        number = self._literals[kind].get(text, 0)
        regex = self._regexes[kind]
        found = regex.match(text) if regex is not None else None
        return max(number, self._numbers[kind][found.lastindex - 1]) if found is not None and found.lastindex else number


def _parse(line: str) -> _Pattern | None:
    """One line of an ignore file; None if it is empty, a comment, or no valid pattern."""
    text = line.rstrip("\r\n")
    text = text if text.endswith("\\ ") else text.rstrip()
    if not text or text.startswith("#") or text == "/":
        return None
    negated = text.startswith("!")
    parts = text[negated:].split("/")
    parts = parts[1:] if parts[0] == "" else _unanchored(parts)
    folders_only = parts[-1] == ""
    if folders_only:
        parts = parts[:-1]
    parts = [part for at, part in enumerate(parts) if not (part == "**" and at and parts[at - 1] == "**")]
    if folders_only and parts[-1:] == ["**"]:
        parts = parts[:-1]
    return _pattern(parts, negated, folders_only)


def _unanchored(parts: list[str]) -> list[str]:
    """A pattern with no slash but at its end matches at any depth."""
    alone = len(parts) == 1 or (len(parts) == 2 and parts[1] == "")
    return ["**", *parts] if alone else parts


def _pattern(parts: list[str], negated: bool, folders_only: bool) -> _Pattern | None:
    if parts in ([], ["**"]):
        return _Pattern(negated, folders_only, True, ".+", None)
    texts = [part if part == "**" else _segment(part) for part in parts]
    if None in texts:
        return None
    if len(parts) == 2 and parts[0] == "**":
        return _Pattern(negated, folders_only, True, str(texts[1]), _literal(parts[1]))
    pieces = []
    for at, text in enumerate(texts):
        last = at == len(texts) - 1
        if text == "**":
            pieces.append(".+" if last else "(?:.+/)?")
        else:
            pieces.append(str(text) + ("" if last else "/"))
    literal = None if "**" in parts or any(_literal(part) is None for part in parts) else "/".join(parts)
    return _Pattern(negated, folders_only, False, "".join(pieces), literal)


def _literal(part: str) -> str | None:
    return None if re.search(r"[*?\[\\]", part) else part


def _segment(part: str) -> str | None:
    """Regular expression of one part between slashes; None if the part is not valid."""
    pieces = []
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            pieces.append("[^/]*")
        elif char == "?":
            pieces.append("[^/]")
        elif char == "[":
            end = _end_of_class(part, at)
            piece = _character_class(part[at:end]) if end > 0 else None
            if piece is None:
                return None
            pieces.append(piece)
            at = end + 1
        elif char == "\\":
            if at == len(part):
                return None
            pieces.append(re.escape(part[at]))
            at += 1
        else:
            pieces.append(re.escape(char))
    return "".join(pieces)


def _end_of_class(part: str, start: int) -> int:
    """Index of the closing bracket, or -1. A bracket that comes first is a member."""
    first = start + 1 if part[start : start + 1] in ("!", "^") else start
    return part.find("]", first + 1)


def _character_class(members: str) -> str | None:
    negation = members[0] in ("!", "^")
    escaped = re.sub(r"([\\\[\]^&~|])", r"\\\1", members[negation:])
    text = f"[{'^/' if negation else ''}{escaped}]"
    try:
        re.compile(text)
    except re.error:  # a range that runs backwards
        return None
    return text
