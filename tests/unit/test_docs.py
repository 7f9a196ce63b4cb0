"""The documents: every block is of a kind that is checked, what can be checked without services is, and links lead somewhere."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, ROOT, Block, blocks

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_is_of_a_kind_that_is_checked(block: Block) -> None:
    if block.directive == "checked by":
        test = ROOT / str(block.value)
        assert test.is_file(), f"{block}: {block.value} does not exist"
        assert block.text.splitlines()[0] in test.read_text(), f"{block}: {block.value} does not run it"
    else:
        assert block.language in {"bash", "python", "json", "toml", "text"}, (
            f"{block}: language {block.language!r} is not checked by anything"
        )


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_python_block_compiles(block: Block) -> None:
    ast.parse(block.text, str(block))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_json_block_parses(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib before Python 3.11")
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_toml_block_parses(block: Block) -> None:
    import tomllib

    tomllib.loads(block.text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for match in LINK.finditer(document.read_text()):
        if match["target"].startswith(("http://", "https://", "mailto:")):
            continue
        target = (document.parent / match["target"]).resolve() if match["target"] else document
        assert target.exists(), f"{document.name}: no {match['target']}"
        if match["anchor"]:
            assert match["anchor"] in anchors(target), f"{document.name}: no heading #{match['anchor']} in {target.name}"


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
