"""The documents: every block is of a kind that is checked, what can be checked without services is, and links lead somewhere."""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows import cli
from mlflows.history import status
from tests.support.documents import DOCUMENTS, ROOT, Block, blocks

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block(block: Block) -> None:
    if block.directive == "checked by":
        test = ROOT / str(block.value)
        assert test.is_file(), f"{block}: {block.value} does not exist"
        assert block.text.splitlines()[0] in test.read_text(), f"{block}: {block.value} does not run it"
    CHECKS[block.language](block)


def compiles(block: Block) -> None:
    ast.parse(block.text, str(block))


def parses(block: Block) -> None:
    json.loads(block.text)


def names_what_exists(block: Block) -> None:
    """A drawing: every module it names is there."""
    for module in re.findall(r"\bmlflows(?:\.\w+)+", block.text):
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), f"{block}: there is no {module}"


def is_run(block: Block) -> None:
    """tests/local/test_docs.py runs it, or compares it with what the block before it printed."""
    assert block.runs or block.directive or any(earlier.runs for earlier in blocks(block.document) if earlier.line < block.line), str(block)


CHECKS: dict[str, Callable[[Block], None]] = {
    "python": compiles,
    "json": parses,
    "": names_what_exists,
    "bash": is_run,
    "text": is_run,
}
"""By language; a language that is not here fails."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for match in LINK.finditer(document.read_text()):
        if match["target"].startswith(("http://", "https://", "mailto:")):
            continue
        target = (document.parent / match["target"]).resolve() if match["target"] else document
        assert target.exists(), f"{document.name}: no {match['target']}"
        if match["anchor"]:
            assert match["anchor"] in anchors(target), f"{document.name}: no heading #{match['anchor']} in {target.name}"


def test_statuses_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| ([A-Z]\w+(?:, \w+)*) \| ([A-Z]+) \|$", (ROOT / "docs" / "runs.md").read_text(), re.MULTILINE)
    table = {word: mlflow for words, mlflow in rows for word in words.split(", ")}
    assert table == {word: status.mlflow_status(word) for word in table}
    assert set(status.TERMINAL) <= set(table)


def test_commands_are_those_of_the_code() -> None:
    documented = set(re.findall(r"`mlflows ([a-z]+)", (ROOT / "docs" / "cli.md").read_text()))
    [commands] = [action.choices for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert documented == set(commands)


def test_variables_are_those_of_the_code() -> None:
    code = "".join(path.read_text() for folder in ("mlflows", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
    code += (ROOT / "conftest.py").read_text()
    for document in DOCUMENTS:
        for name in re.findall(r"\bMLFLOWS?_[A-Z_]+|\bPREFECT_[A-Z_]+", document.read_text()):
            assert name in code, f"{document.name}: nothing reads {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_list_of_wishes(document: Path) -> None:
    """What is not there yet is said in one place only."""
    for heading in re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE):
        assert heading != "Not yet" or document.name == "migration.md"
        assert not re.search(r"roadmap|coming soon|to ?do\b", heading, re.IGNORECASE)


def anchors(document: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
