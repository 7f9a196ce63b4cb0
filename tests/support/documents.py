"""The fenced blocks of the documents, and what the tests do with each.

A block is treated by its language, unless a comment right above it says otherwise:

- ``bash``: run, in a copy of what a reader has: a scratch folder with ``examples/`` in it, shared by the blocks of one document.
- ``python``: compiled, then run there.
- ``json``: parsed.
- no language: a drawing; every ``mlflows.module`` named in it must exist.
- ``text``: must have been printed by the block run last; ``...`` stands for anything.
- any language after ``<!-- file: NAME -->``: written there as NAME (and compiled or parsed by its language).
- any language after ``<!-- checked by: PATH -->``: covered by that test; PATH must exist and contain the block's first line.

Anything else fails the test: no block goes unnoticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "examples", "deployments", "infra", "benchmarks")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])

FENCE = re.compile(r"^(?P<marks>`{3,})(?P<language>\S*)[^\n]*\n(?P<text>.*?)^(?P=marks)\s*$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"<!-- (?P<name>file|checked by): (?P<value>.+?) -->\n\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it is, and the directive above it, if any."""

    document: Path
    line: int
    language: str
    text: str
    directive: str | None
    value: str | None

    @property
    def runs(self) -> bool:
        """Whether it is executed where it stands."""
        return self.language in ("bash", "python") and self.directive is None

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path) -> Iterator[Block]:
    """The blocks of a document, in order."""
    text = document.read_text()
    for match in FENCE.finditer(text):
        above = DIRECTIVE.search(text[: match.start()])
        yield Block(
            document,
            text.count("\n", 0, match.start()) + 1,
            match["language"],
            match["text"],
            above["name"] if above else None,
            above["value"] if above else None,
        )


def pattern(text: str) -> re.Pattern[str]:
    """Expected output as a regular expression: ``...`` matches anything, spaces at line ends do not count."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return re.compile(r"\s*\n".join(".*?".join(map(re.escape, line.split("..."))) for line in lines), re.DOTALL)
