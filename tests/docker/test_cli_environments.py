"""`mlflows env` and images: built by it, listed by it, and rendered so that `docker build` makes the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from conftest import Services
from tests.support.engine import Engine
from tests.support.wheels import make_wheel


@pytest.fixture
def name(docker_engine: Engine) -> Iterator[str]:
    made = f"cli-{uuid4().hex[:8]}"
    yield made
    for identifier in set(docker_engine.docker("images", "--quiet", "--filter", f"label=mlflows.environment={made}").split()):
        subprocess.run(["docker", "rmi", "--force", identifier], capture_output=True)


def test_from_a_folder_to_an_image(name: str, base_image: str, services: Services, docker_engine: Engine, tmp_path: Path) -> None:
    def env(*arguments: str) -> str:
        return services.mlflows("env", *arguments, cwd=tmp_path)

    env("scaffold", "-n", name, "-d", "image", "--docker")
    wheel = make_wheel(tmp_path / "image", f"{name}-lib")
    dockerfile, conda = tmp_path / "image" / "BaseDockerfile", tmp_path / "image" / "conda_dependencies.yml"
    first, _, _ = dockerfile.read_text().partition("FROM ")
    dockerfile.write_text(f"{first}FROM {base_image}\n")
    conda.write_text(conda.read_text().replace("- scikit-learn", f"- ./{wheel.name}").replace("python=", "python>=3.6 #"))
    env("register", "-d", "image")

    def listed() -> object:
        return next(each["image"] for each in json.loads(env("list", "--json")) if each["name"] == name)

    assert listed() is False
    printed = env("build", "-n", name, "--docker")
    tag = printed.rstrip().rpartition("the image ")[2]
    assert "Building mlflows/env:" in printed and f"{name}: ready after " in printed.splitlines()[-1]
    assert listed() is True and "image: yes" in env("show", "-n", name)
    again = json.loads(env("build", "-n", name, "--docker", "--json"))
    assert again["image"] == tag and again["id"] == json.loads(docker_engine.docker("image", "inspect", tag))[0]["Id"]

    program = f"import {wheel.name.partition('-')[0]} as made; print(made.VERSION)"
    assert docker_engine.docker("run", "--rm", tag, again["python"], "-c", program) == "1.0\n"

    env("render", "-n", name, "--docker", "-o", "context")
    assert "FROM " in (tmp_path / "context" / "Dockerfile").read_text()
    assert wheel.name in json.dumps(json.loads(env("render", "-n", name, "--docker", "--json"))["files"])
