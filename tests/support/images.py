"""Environments for images, and what is in an image, for tests that look for what must not be there."""

from __future__ import annotations

import base64
import os
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import Environment
from mlflows.environments.image import BuiltImage
from tests.support.engine import Engine


def with_packages(base: str, *lines: str, name: str = "training") -> Environment:
    environment = Environment(name)
    environment.docker.base_image = base
    environment.python.conda_dependencies = CondaDependencies()
    environment.python.conda_dependencies.set_pip_requirements(lines)
    return environment


def unique(base: str, *lines: str) -> Environment:
    """An environment that nobody has built yet, at the price of no package more: a condition that any version meets."""
    return with_packages(base, f"six!=99.{uuid.uuid4().int % 10**9}", *lines)


def everything_in(engine: Engine, name: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files of an image, layer by layer, its configuration with labels and history."""
    engine.docker("save", "--output", str(folder / "image.tar"), name)
    yield from files_of(folder / "image.tar")


def files_of(saved: Path) -> Iterator[tuple[str, bytes]]:
    """All files of a saved image: its layers are tar files, whatever they are called, as they are or compressed."""
    with tarfile.open(saved) as outer:
        for member in outer:
            file = outer.extractfile(member) if member.isfile() else None
            if file is None:
                continue
            is_layer = tarfile.is_tarfile(file)
            file.seek(0)
            if not is_layer:
                yield member.name, file.read()
                continue
            with tarfile.open(fileobj=file) as layer:
                for inner in layer:
                    content = layer.extractfile(inner) if inner.isfile() else None
                    if content is not None:
                        yield inner.name, content.read()


def assert_nowhere(secrets: list[str], found: BuiltImage, log: list[str], engine: Engine, folder: Path) -> None:
    """No secret is in the image, its history, the log or the store."""
    store = Path(os.environ["MLFLOWS_HOME"])
    texts = [(str(path), path.read_bytes()) for path in store.rglob("*") if path.is_file()]
    texts += [("log", "".join(log).encode()), ("history", engine.docker("history", "--no-trunc", found.name).encode())]
    texts += [("inspect", engine.docker("image", "inspect", found.name).encode()), *everything_in(engine, found.name, folder)]
    assert any(name.endswith("build.log") for name, _ in texts) and any(name.endswith("mlflows_job.pth") for name, _ in texts)
    for secret in secrets:
        forms = (secret.encode(), base64.b64encode(secret.encode()))
        places = [name for name, content in texts if any(form in content for form in forms)]
        assert not places, f"a secret is in {places}"
