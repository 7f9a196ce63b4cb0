"""What engines print when something fails, in a sentence: texts that a test cannot have a real engine print."""

from __future__ import annotations

from typing import Any

import pytest

from mlflows.environments import image_errors
from mlflows.environments.engine import EngineError, check_reached
from mlflows.environments.image_registry import Registry

DEFINITION: dict[str, Any] = {
    "docker": {"baseImage": "base:1"},
    "python": {"condaDependencies": {"dependencies": ["python=3.9", {"pip": ["six"]}]}},
}


@pytest.mark.parametrize(
    "printed",
    [
        "write /var/lib/docker/tmp/x: no space left on device",
        "#7 12.3 OSError: [Errno 28] No space left on device: '/azureml-envs'",
    ],
)
def test_disk_full(printed: str) -> None:
    for said in (image_errors.of_build(printed, DEFINITION), image_errors.of_pull(printed, "base:1")):
        assert (
            said == "docker: the disk of the container engine is full. Make space, for instance with `docker system prune`, and try again."
        )
    assert "there is no space left in the registry" in image_errors.of_push(printed, Registry("host"))


def failed(command: str, *lines: str) -> list[str]:
    """What the three builders print of a step that failed."""
    classic = [
        "Step 2/7 : RUN first",
        " ---> Running in 1a",
        "error: of an earlier step",
        f"Step 3/7 : RUN {command}",
        " ---> Running in 2b",
        *lines,
    ]
    classic += [f"The command '/bin/sh -c {command}' returned a non-zero code: 1"]
    other = [
        "#5 [stage-0 2/4] RUN first",
        "#5 0.121 error: of an earlier step",
        "#5 DONE 0.2s",
        f"#8 [stage-0 4/4] RUN {command}",
        "#8 ...",
    ]
    other += [f"#8 1.{number} {line}" for number, line in enumerate(lines)]
    builtin = [
        *other,
        f"#8 ERROR: executor failed running [/bin/sh -c {command}]: exit code: 1",
        "------",
        f" > [4/4] RUN {command}:",
        "------",
    ]
    builtin += [f"failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed running [{command}]: exit code: 1"]
    buildx = [*other, f'#8 ERROR: process "/bin/sh -c {command}" did not complete successfully: exit code: 1', "------", *lines, "------"]
    buildx += [
        "Dockerfile:12",
        "  12 | RUN x",
        f'ERROR: failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: 1',
    ]
    return ["\n".join(lines) for lines in (classic, builtin, buildx)]


OURS = "set -e; /opt/mlflows/bin/uv venv; /opt/mlflows/bin/uv pip install -r x"


def test_python_that_cannot_be_fetched() -> None:
    for printed in failed(
        OURS, "error: Failed to download https://github.com/astral-sh/python-build-standalone/x", "  Caused by: dns error"
    ):
        said = image_errors.of_build(printed, DEFINITION)
        assert said.startswith("environment.python.conda_dependencies: the image has no python 3.9, and it cannot be fetched")


def test_requirement_that_cannot_be_met() -> None:
    for printed in failed(
        OURS, "Using Python 3.11", "  × No solution found when resolving dependencies:", "  ╰─▶ Because there is no six==9, no."
    ):
        said = image_errors.of_build(printed, DEFINITION)
        assert said.startswith(
            "the requirement six cannot be installed: No solution found when resolving dependencies: Because there is no"
        )
        assert "exit code" not in said and "earlier step" not in said


def test_conda_packages_that_cannot_be_met() -> None:
    for printed in failed("python3 /opt/mlflows/environment/conda_solver.py", "error: No candidates were found for native 3.0.*."):
        said = image_errors.of_build(printed, DEFINITION)
        assert said.startswith(
            "the conda packages cannot be installed: No candidates were found for native 3.0.*. Change environment.python"
        )


def test_step_of_the_person() -> None:
    for printed in failed("gcc x.c", "x.c:1: error: expected ';'", "error: giving up"):
        said = image_errors.of_build(printed, {**DEFINITION, "docker": {"baseDockerfile": "FROM x"}})
        assert said == "docker.base_dockerfile: a step of the build failed: x.c:1: error: expected ';' error: giving up."


def test_no_network_in_a_step() -> None:
    for printed in failed("apt-get update", "Could not resolve 'deb.debian.org'"):
        assert "a step of the build could not reach the network: Could not resolve 'deb.debian.org'." in image_errors.of_build(
            printed, DEFINITION
        )


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("Error response from daemon: manifest for base:1 not found: manifest unknown", "base:1 was not found"),
        ("Error response from daemon: pull access denied for base, repository does not exist", "base:1 was not found"),
        ("unauthorized: incorrect username or password", "refuses the user name and password"),
        ("dial tcp: lookup registry.example.org: no such host", "cannot be reached"),
        ("something new", "base:1 cannot be had: something new."),
        ("", "base:1 cannot be had: it does not say why."),
    ],
)
def test_pull(printed: str, said: str) -> None:
    assert said in image_errors.of_pull(printed, "base:1")


def test_push() -> None:
    registry = Registry("host:5000", "person", "secret")
    said = image_errors.of_push("denied: requested access to the resource is denied", registry)
    assert said.startswith("container_registry: host:5000 refuses the user name 'person' with the password given") and "secret" not in said
    assert "cannot be pushed to host:5000: broken pipe." in image_errors.of_push("broken pipe", registry)


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "Start it"),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "Add the user to the group",
        ),
    ],
)
def test_engine_that_cannot_be_reached(printed: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        check_reached(printed)
    check_reached('Error response from daemon: Get "http://127.0.0.1:9/v2/": connect: connection refused')
    check_reached("error: Failed to fetch: `http://127.0.0.1:9/simple/`\n  Caused by: Connection refused (os error 111)")
