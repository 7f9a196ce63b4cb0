"""What the documents tell a reader to type works, in order, from top to bottom, and prints what they say it prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Services
from tests.support.documents import DOCUMENTS, ROOT, Block, blocks, pattern

RUNNABLE = [document for document in DOCUMENTS if any(block.runs for block in blocks(document))]
BLOCK_SECONDS = 120


@pytest.mark.parametrize("document", RUNNABLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_document(document: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "mlflows down" in "".join(block.text for block in blocks(document)):
        # services of its own: others go on using theirs
        monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
        request.addfinalizer(lambda: Services().mlflows("down"))
    else:
        request.getfixturevalue("services")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    printed = ""
    for block in blocks(document):
        if block.directive == "checked by":
            continue
        if block.directive == "file":
            target = tmp_path / str(block.value)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        elif block.runs:
            printed = run(block, tmp_path)
        elif block.language == "text":
            assert pattern(block.text).search(printed), f"{block} says\n{block.text}\nprinted was\n{printed}"


def run(block: Block, folder: Path) -> str:
    """What the block prints; the ``mlflows`` it calls is the one installed beside this interpreter."""
    argv = ["bash", "-euo", "pipefail", "-c", block.text] if block.language == "bash" else [sys.executable, "-c", block.text]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BLOCK_SECONDS,
    )
    assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
