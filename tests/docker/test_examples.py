"""examples/environments/image: each image is built by the program, and trains the quickstart once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT, Services
from tests.support.documents import blocks
from tests.support.engine import Engine
from tests.support.wheels import make_wheel

README = ROOT / "examples" / "environments" / "README.md"
FIRST = "image=$(mlflows run examples/environments/image/build.py dockerfile | tail -n 1)"
NAMES = ("image-on-base", "image-of-dockerfile", "image-of-context", "image-with-wheel")


@pytest.fixture
def folder(base_image: str, services: Services, tmp_path: Path) -> Path:
    """The examples, on an image that this machine has."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for path in (tmp_path / "examples" / "environments" / "image").rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace("python:3.11-slim", base_image))
    return tmp_path


@pytest.fixture(autouse=True)
def removed(docker_engine: Engine) -> Iterator[None]:
    yield
    for name in NAMES:
        for identifier in set(docker_engine.docker("images", "--quiet", "--filter", f"label=mlflows.environment={name}").split()):
            subprocess.run(["docker", "rmi", "--force", identifier], capture_output=True)


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        ("base-image", "import sklearn"),
        ("dockerfile", "import os; assert os.environ['TEAM'] == 'forecasting'"),
        ("build-context", "assert 'alpha' in open('/etc/quickstart/defaults.ini').read()"),
        ("private-wheel", "import private_lib"),
    ],
)
def test_built_and_run(kind: str, also: str, folder: Path, docker_engine: Engine) -> None:
    wheel = make_wheel(folder, "private-lib")
    [text] = [block.text for block in blocks(README) if block.text.startswith(FIRST)]
    text = text.replace("build.py dockerfile", f"build.py {kind}" + (f" '{wheel}'" if kind == "private-wheel" else ""))
    text += f'docker run --rm "$image" python -c "{also}; print(\'has it\')"\n'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout
    assert "best: alpha " in done.stdout and done.stdout.endswith("has it\n")
