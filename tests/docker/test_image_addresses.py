"""Packages of an image that come from addresses with signatures."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows.environments.image import BuiltImage
from tests.support.engine import Engine
from tests.support.images import assert_nowhere, unique
from tests.support.wheels import index, make_wheel

pytestmark = pytest.mark.usefixtures("own_store")

CANARY = "canary-a41b"


def test_a_signature_is_in_no_layer(
    buildkit: None, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, tmp_path: Path, host: str
) -> None:
    mark = f"{CANARY}-{uuid.uuid4().hex}"
    wheel = make_wheel(tmp_path / "packages", "signed")
    with index(tmp_path / "packages", None, host) as packages:
        log: list[str] = []
        line = f"signed @ http://{packages.address}/{wheel.name}?sv=1&sig={mark}%2F1%3D"
        found = built(unique(base_image, line), write=log.append)
        assert f"/{wheel.name}?sv=1&sig={mark}%2F1%3D" in packages.asked
    noted = "cat /azureml-envs/mlflows/lib/python*/site-packages/signed-1.0.dist-info/direct_url.json"
    assert f"/{wheel.name}?sv=1&sig=****" in docker_engine.docker("run", "--rm", found.name, "sh", "-c", noted)
    assert_nowhere([mark, CANARY], found, log, docker_engine, tmp_path)
