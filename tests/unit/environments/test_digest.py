"""What decides the name of an environment, and what does not."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflows.environments.digest import digest
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def definition(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "a-1-py3-none-any.whl").write_text("one")
    environment = Environment("x")
    found = environment._serialize_to_dict()
    pip = ["--extra-index-url https://host/simple", "six==1.0", "toolz", str(tmp_path / "a-1-py3-none-any.whl"), "azureml-core==1.0"]
    found["python"]["condaDependencies"] = {"channels": ["b", "a"], "dependencies": ["python=3.8", "numpy", "scipy", {"pip": pip}]}
    return found


def pip(definition: dict[str, Any]) -> Any:
    return definition["python"]["condaDependencies"]["dependencies"][-1]["pip"]


def conda(definition: dict[str, Any]) -> Any:
    return definition["python"]["condaDependencies"]


SAME: dict[str, Change] = {
    "name": lambda d: d.update(name="y"),
    "version": lambda d: d.update(version="7"),
    "variables": lambda d: d.update(environmentVariables={"A": "1"}),
    "password of an index": lambda d: pip(d).__setitem__(0, "--extra-index-url https://me:pass@host/simple"),
    "reference in an index": lambda d: pip(d).__setitem__(0, "--extra-index-url https://me:{{ prefect.blocks.secret.a }}@host/simple"),
    "password of a registry": lambda d: d["docker"]["baseImageRegistry"].update(password="p", username="u"),
    "azureml package": lambda d: pip(d).__setitem__(4, "azureml-sdk==2.0"),
    "no azureml package": lambda d: pip(d).pop(4),
    "order of conda packages": lambda d: conda(d)["dependencies"].insert(0, conda(d)["dependencies"].pop(2)),
    "inference stack": lambda d: d.update(inferencingStackVersion="latest"),
}
OTHER: dict[str, Change] = {
    "pin": lambda d: pip(d).__setitem__(1, "six==1.1"),
    "order of pip lines": lambda d: pip(d).insert(1, pip(d).pop(2)),
    "index": lambda d: pip(d).__setitem__(0, "--extra-index-url https://other/simple"),
    "python": lambda d: conda(d)["dependencies"].__setitem__(0, "python=3.9"),
    "conda package": lambda d: conda(d)["dependencies"].__setitem__(1, "numpy=1"),
    "order of channels": lambda d: conda(d)["channels"].reverse(),
    "content of a wheel": lambda d: Path(pip(d)[3]).write_text("two"),
}


@pytest.mark.parametrize("kind", ["venv", "image"])
@pytest.mark.parametrize("change", SAME)
def test_what_does_not_count(definition: dict[str, Any], change: str, kind: Any) -> None:
    before, changed = digest(definition, kind), copy.deepcopy(definition)
    SAME[change](changed)
    assert digest(changed, kind) == before and len(before) == 16


@pytest.mark.parametrize("kind", ["venv", "image"])
@pytest.mark.parametrize("change", OTHER)
def test_what_counts(definition: dict[str, Any], change: str, kind: Any) -> None:
    before, changed = digest(definition, kind), copy.deepcopy(definition)
    OTHER[change](changed)
    assert digest(changed, kind) != before


def test_the_place_of_a_wheel_does_not_count(definition: dict[str, Any], tmp_path: Path) -> None:
    before = digest(definition, "venv")
    (tmp_path / "sub").mkdir()
    Path(pip(definition)[3]).rename(tmp_path / "sub" / "a-1-py3-none-any.whl")
    pip(definition)[3] = str(tmp_path / "sub" / "a-1-py3-none-any.whl")
    assert digest(definition, "venv") == before


def test_the_place_of_a_wheel_in_an_encoded_address_does_not_count(tmp_path: Path) -> None:
    def of(folder: str, text: str, name: str = "mine @ ", more: str = "") -> str:
        wheel = tmp_path / folder / "a-1-py3-none-any.whl"
        wheel.parent.mkdir(parents=True, exist_ok=True)
        wheel.write_text(text)
        line = f"{name}{wheel.as_uri()}{more}"
        return digest({"python": {"condaDependencies": {"dependencies": [{"pip": [line]}]}}}, "venv")

    assert of("home of a", "one") == of("home of bée/deeper", "one") == of("plain", "one")
    assert of("home of a", "one") != of("home of a", "two")
    assert of("home of a", "one", "") == of("plain", "one", "") != of("plain", "one", "", "[extra]")


@pytest.mark.parametrize(
    "address",
    [
        "https://me:{}@conda.example/main",
        "https://{}@conda.example/main",
        "https://conda.example/t/{}/main",
        "https://conda.example/main?sig={}",
    ],
)
def test_secrets_of_channels_and_addresses_do_not_count(address: str) -> None:
    def of(text: str) -> list[str]:
        line = f"mine @ {text}#egg=mine"
        dependencies = ["python=3.8", "numpy", {"pip": [line]}]
        pip, conda = ({"pip": [line]},), dependencies[:2]
        return [
            digest({"python": {"condaDependencies": {"channels": channels, "dependencies": [*items]}}}, "venv")
            for channels, items in (([], pip), ([text], conda))
        ]

    first = of(address.format("one"))
    assert first == of(address.format("two")) == of(address.format("{{prefect.blocks.secret.a}}"))
    assert first == of(address.format("{{ prefect.blocks.secret.b }}"))
    other = of(address.replace("/main", "/other").format("one"))
    assert first[0] != other[0] and first[1] != other[1]


def test_a_block_that_is_a_whole_address_counts() -> None:
    def of(line: str) -> str:
        return digest({"python": {"condaDependencies": {"dependencies": [{"pip": [line]}]}}}, "venv")

    assert of("--index-url {{ prefect.blocks.secret.a }}") != of("--index-url {{ prefect.blocks.secret.b }}")


def test_a_project_in_a_folder(definition: dict[str, Any], tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / "code.py").write_text("1")
    (project / "pyproject.toml").write_text("")
    pip(definition)[3] = str(project)
    copied = digest(definition, "venv")
    pip(definition)[3] = f"-e {project}"
    used_from_there = digest(definition, "venv")
    (project / ".git" / "index").write_text("x")
    assert digest(definition, "venv") == used_from_there
    (project / "code.py").write_text("2")
    assert digest(definition, "venv") == used_from_there, "an edit of what is used from where it lies needs no build"
    (project / "pyproject.toml").write_text("[project]")
    assert digest(definition, "venv") != used_from_there
    pip(definition)[3] = str(project)
    assert digest(definition, "venv") != copied


def test_conda_channels_without_conda_packages_do_not_count() -> None:
    plain = {"python": {"condaDependencies": {"channels": ["a"], "dependencies": ["python=3.8", {"pip": ["six"]}]}}}
    other = {"python": {"condaDependencies": {"channels": ["b"], "dependencies": ["python=3.8", {"pip": ["six"]}]}}}
    assert digest(plain, "venv") == digest(other, "venv")


def test_an_image_has_more_to_it(definition: dict[str, Any], tmp_path: Path) -> None:
    def changed(**docker: Any) -> tuple[str, str]:
        other = copy.deepcopy(definition)
        other["docker"].update(docker)
        return digest(other, "venv"), digest(other, "image")

    venv, image = changed()
    for docker in ({"baseImage": "other"}, {"baseDockerfile": "FROM a"}, {"platform": {"os": "Linux", "architecture": "arm64"}}):
        assert changed(**docker)[0] == venv and changed(**docker)[1] != image
    assert digest(definition, "image", base_digest="sha256:1") != digest(definition, "image", base_digest="sha256:2")
    context = tmp_path / "context"
    context.mkdir()
    for name, text in {"Dockerfile": "FROM a", "kept.txt": "1", "left.log": "1", ".dockerignore": "*.log\n"}.items():
        (context / name).write_text(text)
    docker = {"buildContext": {"location": str(context), "dockerfilePath": "Dockerfile"}}
    before = changed(**docker)[1]
    (context / "left.log").write_text("2")
    assert changed(**docker)[1] == before
    (context / "kept.txt").write_text("2")
    after = changed(**docker)[1]
    assert after != before
    os.chmod(context / "kept.txt", 0o755)
    assert changed(**docker)[1] != after


def test_a_project_in_an_image_is_what_it_holds_wherever_it_lies(definition: dict[str, Any], tmp_path: Path) -> None:
    digests = []
    for place, text in (("here", "1"), ("there", "1"), ("here", "2")):
        project = tmp_path / place / "project"
        project.mkdir(parents=True, exist_ok=True)
        (project / "pyproject.toml").write_text("")
        (project / "code.py").write_text(text)
        pip(definition)[3] = f"-e {project}"
        digests.append(digest(definition, "image"))
    assert digests[0] == digests[1], "where it lies does not count"
    assert digests[0] != digests[2], "an edit does: the source is copied"


def test_build_is_left_out_at_the_root_of_a_project_only(definition: dict[str, Any], tmp_path: Path) -> None:
    for folder in ("build", "mine/build"):
        (tmp_path / "project" / folder).mkdir(parents=True)
    pip(definition)[3] = str(tmp_path / "project")
    before = digest(definition, "venv")
    (tmp_path / "project" / "build" / "made.py").write_text("1")
    assert digest(definition, "venv") == before
    (tmp_path / "project" / "mine" / "build" / "code.py").write_text("1")
    assert digest(definition, "venv") != before


@pytest.mark.parametrize("name", ["a-1-py3-none-any.whl", "project"])
def test_a_file_that_cannot_be_read(definition: dict[str, Any], tmp_path: Path, name: str) -> None:
    (tmp_path / "project").mkdir()
    unreadable = tmp_path / "project" / "code.py" if name == "project" else tmp_path / name
    unreadable.unlink(missing_ok=True)
    unreadable.symlink_to("/proc/self/mem")  # for root, too
    pip(definition)[3] = str(tmp_path / name)
    with pytest.raises(UserErrorException, match=f"environment: {unreadable} cannot be read: .*Let this user read it, or leave it out"):
        digest(definition, "venv")
