"""Registered environments and the secrets of environments, on a real Prefect server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from conftest import Services
from mlflows import blocks
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.environments import credentials, curated, registry
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.exceptions import UserErrorException
from mlflows.experiment import Experiment
from mlflows.history.run import Run
from mlflows.workspace import Workspace
from tests.support.at_once import shared_out

CANARY = "cAnArY5f0e"

REGISTER = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from mlflows.environments.environment import Environment
from mlflows.workspace import Workspace

def register(packages):
    environment = Environment(sys.argv[1])
    environment.python.conda_dependencies.set_pip_requirements(packages)
    return environment.register(ws).version

ws = Workspace.get("registry")
ws._prefect()
print("ready", flush=True)
work = json.loads(sys.stdin.readline())
with ThreadPoolExecutor(len(work)) as pool:
    print(json.dumps(list(pool.map(register, work))))
assert "prefect" not in sys.modules or len(sys.argv) > 2
"""


@pytest.fixture(scope="module")
def ws(services: Services) -> Workspace:
    return Workspace.get("registry")


@pytest.fixture
def name() -> str:
    return f"Env {uuid4().hex[:8]}"


@pytest.fixture
def submit(ws: Workspace, tmp_path: Path) -> Callable[[Any], Run]:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print('trained')\n")

    def run(environment: Any) -> Run:
        config = ScriptRunConfig(tmp_path / "src", script="train.py", environment=environment)
        return Experiment(ws, "registry").submit(config)

    return run


def with_packages(name: str, *packages: str) -> Environment:
    environment = Environment(name)
    environment.python.conda_dependencies.set_pip_requirements(packages)
    return environment


def with_secrets(name: str) -> Environment:
    environment = with_packages(name, f"--extra-index-url https://me:{CANARY}1@pip.example/simple")
    environment.python.conda_dependencies.add_channel(f"https://conda.example/t/{CANARY}2/private")
    environment.python.user_managed_dependencies = True
    environment.docker.base_image_registry.address = f"{environment.name.split()[-1]}.example"
    environment.docker.base_image_registry.username = "me"
    environment.docker.base_image_registry.password = f"{CANARY}3"
    return environment


def register_at_once(name: str, work: list[list[str]], processes: int, *arguments: str) -> list[str]:
    """Register environments of these packages in several threads of several processes; their versions."""
    return shared_out([sys.executable, "-c", REGISTER, name, *arguments], work, processes)


class TestVersions:
    def test_unchanged_keeps_its_version_and_a_change_makes_the_next(self, ws: Workspace, name: str) -> None:
        environment = with_packages(name, "numpy")
        assert environment.register(ws).version == "1" and environment.version is None
        assert environment.register(ws).version == with_packages(name, "numpy").register(ws).version == "1"
        assert with_packages(name, "numpy", "pandas").register(ws).version == "2"
        assert environment.register(ws).version == "3"
        assert Environment.get(ws, name).register(ws).version == "3"

    def test_get(self, ws: Workspace, name: str) -> None:
        for packages in (["numpy"], ["pandas"]):
            with_packages(name, *packages).register(ws)
        first, newest = Environment.get(ws, name, version="1"), Environment.get(ws, name)
        assert (first.name, first.version, newest.version) == (name, "1", "2")
        assert list(first.python.conda_dependencies.pip_packages) == ["numpy"]
        assert list(newest.python.conda_dependencies.pip_packages) == ["pandas"]
        assert Environment.get(ws, name, 1) == first and Environment.get(ws, name, label="latest") == newest  # type: ignore[arg-type]
        assert EnvironmentReference(name, "1").get_environment(ws) == first
        first.version = None
        assert first == with_packages(name, "numpy")

    def test_list(self, ws: Workspace, name: str) -> None:
        for number in range(11):
            with_packages(name, f"a=={number}").register(ws)
        found = Environment.list(ws)
        assert found[name].version == "11"
        assert set(curated.names()) < set(found) and found["AzureML-sklearn-1.0-ubuntu20.04-py38-cpu"].version == "1"
        assert ws.environments[name] == found[name]
        with pytest.raises(KeyError, match="nobody has this"):
            found["nobody has this"]

    def test_labels(self, ws: Workspace, name: str) -> None:
        for number in range(3):
            with_packages(name, f"a=={number}").register(ws)
        Environment.label(ws, name, "1", ["good", "old"])
        Environment.label(ws, name, "2", ["good"])
        assert [Environment.get(ws, name, label=label).version for label in ("good", "old", "latest")] == ["2", "1", "3"]
        assert with_packages(name, "a==2").register(ws).version == "3"
        with pytest.raises(Exception, match=f"Code: 404\n: Environment '{name}' has no label 'bad'. It has: good, latest, old"):
            Environment.get(ws, name, label="bad")
        with pytest.raises(Exception, match=f"Code: 404\n: Environment '{name}' has no version '7'. It has: 1, 2, 3"):
            Environment.label(ws, name, "7", ["good"])

    @pytest.mark.parametrize("version", ["0", "7", "one", "-1", "¹"])
    def test_unknown_version(self, ws: Workspace, name: str, version: str) -> None:
        with_packages(name, "a").register(ws)
        with pytest.raises(Exception, match=f"has no version '{version}'. It has: 1"):
            Environment.get(ws, name, version)

    def test_unknown_name(self, ws: Workspace, name: str) -> None:
        with_packages(name, "a").register(ws)
        with pytest.raises(Exception) as caught:
            Environment.get(ws, name + "x")
        text = str(caught.value)
        assert text.startswith("Error retrieving the environment definition. Code: 404")
        assert f"{name}" in text and "AzureML-Minimal" in text and f"Did you mean '{name}'?" in text

    def test_exact_names(self, ws: Workspace, name: str) -> None:
        others = [name, name.lower(), name.replace(" ", "-"), name + "!", "训练" + name[4:], "训" + name[4:]]
        for number, each in enumerate(others):
            assert with_packages(each, f"a=={number}").register(ws).version == "1"
        assert [list(Environment.get(ws, each).python.conda_dependencies.pip_packages) for each in others] == [
            [f"a=={n}"] for n in range(6)
        ]


class TestAtOnce:
    def test_twenty_different_ones(self, ws: Workspace, name: str) -> None:
        versions = register_at_once(name, [[f"a=={number}"] for number in range(20)], processes=4)
        assert sorted(map(int, versions)) == list(range(1, 21))
        assert len({json.dumps(definition(ws, name, version)["python"]) for version in versions}) == 20

    def test_twenty_of_the_same(self, ws: Workspace, name: str) -> None:
        assert register_at_once(name, [["numpy"]] * 20, processes=4) == ["1"] * 20
        with pytest.raises(Exception, match="has no version '2'. It has: 1."):
            Environment.get(ws, name, "2")

    def test_on_a_server_that_does_not_know_the_type(self, ws: Workspace, name: str) -> None:
        client = ws._prefect()
        kind = blocks.ask(client, "GET", f"/block_types/slug/{registry.KIND}")["id"]
        blocks.ask(client, "DELETE", f"/block_types/{kind}")  # and with it all that is registered
        assert sorted(register_at_once(name, [["a"], ["b"], ["c"]], 3, "may import prefect")) == ["1", "2", "3"]


class TestBlockType:
    def test_prefect_loads_what_is_registered(self, ws: Workspace, name: str) -> None:
        with_packages(name, "numpy").register(ws)
        code = f"""
            from mlflows import MlflowsEnvironment
            environment = MlflowsEnvironment.load({registry.block_name(name, 1)!r})
            print(environment.environment_name, environment.environment_version, environment.definition["name"])
        """
        assert prefect(ws, sys.executable, "-c", "\n".join(line.strip() for line in code.splitlines())).strip() == f"{name} 1 {name}"

    def test_prefect_block_register(self, ws: Workspace) -> None:
        assert "mlflows Environment" in prefect(ws, sys.executable, "-m", "prefect", "block", "register", "-m", "mlflows")


class TestSecrets:
    def test_registered(self, ws: Workspace, name: str) -> None:
        with_secrets(name).register(ws)
        client = ws._prefect()
        shown = blocks.ask(client, "POST", "/block_documents/filter", {"block_documents": {"name": {"like_": ""}}})
        assert CANARY not in json.dumps(shown)
        found = Environment.get(ws, name)
        assert CANARY not in str(found) + repr(found.python)
        back = credentials.put_back(found._serialize_to_dict(), credentials.from_prefect(client))
        assert back["python"] == with_secrets(name)._serialize_to_dict()["python"]
        assert back["docker"]["baseImageRegistry"]["password"] == f"{CANARY}3"
        assert with_secrets(name).register(ws).version == found.register(ws).version == "1"

    def test_another_password_takes_the_place_of_the_first(self, ws: Workspace, name: str) -> None:
        with_secrets(name).register(ws)
        environment = with_secrets(name)
        environment.docker.base_image_registry.password = "another"
        assert environment.register(ws).version == "1"
        found = Environment.get(ws, name)._serialize_to_dict()
        back = credentials.put_back(found, credentials.from_prefect(ws._prefect()))
        assert back["docker"]["baseImageRegistry"]["password"] == "another"

    def test_missing_block(self, ws: Workspace) -> None:
        with pytest.raises(UserErrorException, match="there is no Secret block named 'nobody-has-this' on the Prefect server. Submit"):
            credentials.from_prefect(ws._prefect())("nobody-has-this")

    def test_a_refusal_does_not_repeat_the_value(self, ws: Workspace) -> None:
        with pytest.raises(Exception, match="answered 422 for the block 'Not A Name'") as caught:
            blocks.create(ws._prefect(), blocks.type_of(ws._prefect(), blocks.SECRET), "Not A Name", {"value": CANARY})
        error: BaseException | None = caught.value
        while error is not None:
            assert CANARY not in str(error)
            error = error.__cause__

    def test_a_run_leaves_no_trace_of_them(self, ws: Workspace, name: str, services: Services, submit: Callable[[Any], Run]) -> None:
        run = submit(with_secrets(name))
        run.wait_for_completion()
        block, *_ = credentials.referred(run.get_environment()._serialize_to_dict())
        assert blocks.find(ws._prefect(), blocks.SECRET, block) is not None
        found = [path for path in services.home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
        assert found == []
        assert CANARY not in json.dumps(run.get_details()) + str(run.get_environment()) + json.dumps(run.get_tags())
        flow_run = run._record().tags["mlflows.flow_run_id"]
        assert CANARY not in json.dumps(blocks.ask(ws._prefect(), "GET", f"/flow_runs/{flow_run}"))


class TestRuns:
    def test_by_name(self, ws: Workspace, name: str, submit: Callable[[Any], Run]) -> None:
        environment = Environment(name)
        environment.python.user_managed_dependencies = True
        environment.environment_variables = {"A": "1"}
        environment.register(ws)
        run = submit(EnvironmentReference(name))
        run.wait_for_completion()
        found = run.get_environment()
        assert (found.name, found.version, found.environment_variables) == (name, "1", {"A": "1"})

    def test_what_is_submitted_is_registered(self, ws: Workspace, name: str, submit: Callable[[Any], Run]) -> None:
        environment = Environment(name)
        environment.python.user_managed_dependencies = True
        environment.environment_variables = {"A": "1"}
        environment.docker.shm_size = "1g"
        for _ in range(2):
            run = submit(environment)
            run.wait_for_completion()
            assert run.get_environment().version == "1"
        assert ws.environments[name].environment_variables == {"A": "1"}
        environment.python.conda_dependencies.add_pip_package("numpy")
        run = submit(environment)
        run.wait_for_completion()
        assert run.get_environment().version == ws.environments[name].version == "2"

    def test_by_name_in_the_form_of_prefect(self, ws: Workspace, name: str, tmp_path: Path) -> None:
        environment = Environment(name)
        environment.python.user_managed_dependencies = True
        environment.environment_variables = {"WORD": "registered", "OTHER": "of the environment"}
        environment.register(ws)
        (tmp_path / "train.py").write_text("import os\nprint(os.environ['WORD'], '/', os.environ['OTHER'])\n")
        job = {
            "source_directory": str(tmp_path),
            "script": "train.py",
            "experiment": "registry",
            "environment": {"name": name},
            "environment_variables": {"OTHER": "of the run"},
        }
        client = ws._prefect()
        deployment = blocks.ask(client, "GET", "/deployments/name/script-run/local")
        body = {"parameters": {"job": job}, "state": {"type": "SCHEDULED"}}
        flow_run = blocks.ask(client, "POST", f"/deployments/{deployment['id']}/create_flow_run", body)["id"]
        run = found_by_flow_run(ws, flow_run)
        run.wait_for_completion()
        assert "registered / of the run" in run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]
        assert (run.get_environment().name, run.get_environment().version) == (name, "1")

    def test_a_name_that_nobody_has(self, ws: Workspace, submit: Callable[[Any], Run]) -> None:
        with pytest.raises(UserErrorException, match="environment: 'nobody-has-this': Error retrieving .* Code: 404"):
            submit(EnvironmentReference("nobody-has-this"))

    def test_remember(self, ws: Workspace, name: str) -> None:
        client = ws._prefect()
        ours, theirs = (with_packages(name, package)._serialize_to_dict() for package in ("ours", "theirs"))
        assert [registry.remember(client, name, each) for each in (ours, theirs, ours)] == ["1", "2", "1"]
        registry._remembered.clear()  # as in another process
        assert [registry.remember(client, name, each) for each in (theirs, ours)] == ["2", "1"]
        as_a_run_has_it = {**ours, "environmentVariables": {"A": "1", "API_KEY": CANARY}}
        assert registry.remember(client, name, as_a_run_has_it) == "1"
        assert registry.remember(client, name + "!", as_a_run_has_it) == "1"
        assert definition(ws, name + "!", "1")["environmentVariables"] == {"A": "1"}


def found_by_flow_run(ws: Workspace, flow_run: str) -> Run:
    for _ in range(300):
        runs = Experiment(ws, "registry").get_runs()
        found = next((run for run in runs if run._record().tags.get("mlflows.flow_run_id") == flow_run), None)
        if found is not None:
            return found
        time.sleep(0.1)
    raise AssertionError(f"flow run {flow_run} opened no run: {blocks.ask(ws._prefect(), 'GET', f'/flow_runs/{flow_run}')['state']}")


def definition(ws: Workspace, name: str, version: str) -> dict[str, Any]:
    return registry.get(ws._prefect(), name, version)


def prefect(ws: Workspace, *command: str) -> str:
    environment = {**os.environ, "PREFECT_API_URL": ws._prefect().base_url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
