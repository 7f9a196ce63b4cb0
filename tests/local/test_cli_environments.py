"""`mlflows env` from the folder of a new environment to a run of it, on the real services."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from conftest import Services
from mlflows.environments import builds
from mlflows.environments.environment import Environment
from tests.support.wheels import make_wheel

CANARY = "cAnArY77b1"

Command = Callable[..., str]


@pytest.fixture
def env(services: Services, tmp_path: Path) -> Command:
    """`mlflows env` in a folder of the test's own."""
    return lambda *arguments: services.mlflows("env", *arguments, cwd=tmp_path)


def failed(services: Services, *arguments: str, cwd: Path) -> str:
    done = services.python("-m", "mlflows", "env", *arguments, cwd=cwd)
    assert done.returncode == 1 and done.stdout.startswith("mlflows: error: ") and done.stdout.count("\n") == 1, done.stdout
    return done.stdout


def test_the_whole_way(env: Command, services: Services, tmp_path: Path) -> None:
    name = f"Way {uuid4().hex[:8]}"
    env("scaffold", "-n", name, "-d", "way")
    wheel = make_wheel(tmp_path / "way", "way-lib")
    conda = tmp_path / "way" / "conda_dependencies.yml"
    conda.write_text(conda.read_text().replace("- scikit-learn", f"- --no-index\n      - ./{wheel.name}"))
    assert env("register", "-d", "way") == f"{name}: version 1\n"
    assert json.loads(env("register", "-d", "way", "--json")) == {"name": name, "version": "1"}, "it has not changed"

    rendered = env("render", "-n", name)
    assert str(wheel) in rendered and " pip install" in rendered
    shown = of_list(env, name)
    assert (shown["version"], shown["kind"], shown["packages"]) == ("1", "registered", False)
    built = json.loads(env("build", "-n", name, "--json").partition("{")[2].join(["{", ""]))
    assert Path(built["python"]).parents[3] == builds.store() and built["version"] == "1"
    assert of_list(env, name)["packages"] == built["python"]
    assert f"packages: {built['python']}" in env("show", "-n", name)
    assert [line.split()[-4:-1] for line in env("list").splitlines() if line.startswith(name)] == [["1", "registered", "yes"]]

    (tmp_path / "train.py").write_text("import sys, way_lib\nprint('ran with', sys.executable, way_lib.VERSION)\n")
    (tmp_path / "submit.py").write_text(
        "from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace\n"
        "ws = Workspace.from_config()\n"
        f"src = ScriptRunConfig('.', 'train.py', environment=Environment.get(ws, {name!r}))\n"
        "Experiment(ws, 'environments').submit(src).wait_for_completion(show_output=True)\n"
    )
    printed = services.mlflows("run", "submit.py", cwd=tmp_path)
    assert f"ran with {built['python']} 1.0" in printed and "20_image_build_log" not in printed, "it was there already"

    conda.write_text(conda.read_text().replace("--no-index", "--no-index\n      - --pre"))
    assert env("register", "-d", "way") == f"{name}: version 2\n"
    assert env("download", "-n", name, "-v", "1", "-d", "older") == (
        f"{name} version 1: wrote azureml_environment.json, conda_dependencies.yml to older\n"
    )
    older = Environment.load_from_directory(tmp_path / "older")
    assert older.python.conda_dependencies is not None
    assert list(older.python.conda_dependencies.pip_packages) == [str(wheel)] and older.version == "1"
    assert json.loads(env("show", "-n", name, "--json"))["version"] == "2"
    assert env("register", "-d", "older", "-n", f"{name} again") == f"{name} again: version 1\n"


def test_what_is_not_there(env: Command, services: Services, tmp_path: Path) -> None:
    name = f"known-{uuid4().hex[:8]}"
    env("scaffold", "-n", name, "-d", "known")
    env("register", "-d", "known")
    for command in (["show"], ["build"], ["render"], ["download", "-d", "new"]):
        shown = failed(services, *command, "-n", name[:-1] + "x", cwd=tmp_path)
        assert f"There is no environment '{name[:-1]}x'. Registered: " in shown and f"Did you mean '{name}'?" in shown
        assert "has no version '7'. It has: 1." in failed(services, *command, "-n", name, "-v", "7", cwd=tmp_path)
    assert not (tmp_path / "new" / "azureml_environment.json").exists()
    assert "'AzureML-mine' begins with 'AzureML'" in failed(services, "register", "-d", "known", "-n", "AzureML-mine", cwd=tmp_path)


def test_no_secret_gets_out(env: Command, tmp_path: Path) -> None:
    name = f"private-{uuid4().hex[:8]}"
    environment = Environment(name)
    assert environment.python.conda_dependencies is not None
    environment.python.conda_dependencies.set_pip_requirements([f"--index-url https://me:{CANARY}@pip.example/simple", "six"])
    environment.python.conda_dependencies.set_python_version(">=3.10")
    environment.environment_variables = {"API_TOKEN": CANARY}
    environment.docker.base_image_registry.username, environment.docker.base_image_registry.password = "me", CANARY
    environment.save_to_directory(tmp_path / "private")
    printed = env("register", "-d", "private")
    for command in (["show"], ["show", "--json"], ["render"], ["render", "--json"], ["download", "-d", "again"]):
        printed += env(*command, "-n", name)
    printed += "".join(path.read_text() for path in (tmp_path / "again").iterdir())
    assert CANARY not in printed and "{{prefect.blocks.secret." in printed.replace("{{ ", "{{")


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = Services().python("-m", "mlflows", "env", "list", cwd=tmp_path)
    assert done.returncode == 1 and "127.0.0.1:9" in done.stdout and "Traceback" not in done.stdout


def of_list(env: Command, name: str) -> dict[str, object]:
    found: list[dict[str, object]] = json.loads(env("list", "--json"))
    return next(each for each in found if each["name"] == name)
