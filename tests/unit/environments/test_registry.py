"""Registered environments: names of blocks, what counts as a change, mistakes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from mlflows import MlflowsEnvironment, blocks
from mlflows.environments import curated, registry
from mlflows.environments.environment import Environment, EnvironmentReference
from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.rest import RestClient

ROOT = Path(__file__).parents[3]


class Away:
    """A workspace whose Prefect server does not answer."""

    def _prefect(self) -> RestClient:
        return RestClient("http://127.0.0.1:1/api")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits here for a server that is not there."""
    monkeypatch.setattr(blocks, "_PAUSES", (0.0,))


class TestBlock(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[MlflowsEnvironment]:
        return MlflowsEnvironment

    def test_has_a_valid_image(self, block: type[MlflowsEnvironment]) -> None:
        """As the suite's, of the file in this repository that the address means."""
        from PIL import Image

        path = ROOT / urlsplit(str(block._logo_url)).path.partition("/main/")[2]
        with Image.open(path) as image:
            assert image.width == image.height and 45 < image.width < 1000

    def test_slug_never_changes(self, block: type[MlflowsEnvironment]) -> None:
        assert block.get_block_type_slug() == registry.KIND == "mlflows-environment"


@pytest.mark.parametrize("name", ["train", "My Env", "ümlaut", "训练", "a_b", "x" * 300, "1.0/gpu"])
def test_block_names(name: str) -> None:
    made = registry.block_name(name, 12)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{8}-12", made)
    assert made != registry.block_name(name + "!", 12)
    assert registry.block_name("a_b", 1) != registry.block_name("a-b", 1)


class TestContent:
    def of(self, change: Any = None, whole: bool = True) -> str:
        environment = Environment("e")
        environment.python.conda_dependencies.add_pip_package("numpy")
        if change:
            change(environment)
        definition = environment._serialize_to_dict()
        if not whole:  # as a run has it
            del definition["environmentVariables"]
            for key in registry._OF_A_CONTAINER:
                del definition["docker"][key]
        return registry._content_of_a_run(definition) if not whole else registry._content(definition)

    @pytest.mark.parametrize(
        "change",
        [
            lambda e: setattr(e, "name", "other"),
            lambda e: setattr(e, "version", "3"),
            lambda e: setattr(e.docker, "shm_size", "2g") or setattr(e.docker, "shm_size", None),
        ],
    )
    def test_what_is_no_change(self, change: Any) -> None:
        assert self.of(change) == self.of()

    @pytest.mark.parametrize(
        "change",
        [
            lambda e: e.python.conda_dependencies.add_pip_package("pandas"),
            lambda e: e.python.conda_dependencies.add_channel("other"),
            lambda e: setattr(e, "environment_variables", {"A": "1"}),
            lambda e: setattr(e.docker, "enabled", True),
            lambda e: setattr(e.docker, "base_image", "debian:12"),
            lambda e: setattr(e, "inferencing_stack_version", "latest"),
        ],
    )
    def test_what_is_a_change(self, change: Any) -> None:
        assert self.of(change) != self.of()

    def test_of_a_run(self) -> None:
        def started_otherwise(environment: Environment) -> None:
            environment.docker.enabled = True
            environment.environment_variables = {"A": "1"}

        definition = Environment("e")
        definition.python.conda_dependencies.add_pip_package("numpy")
        started_otherwise(definition)
        assert registry._content_of_a_run(definition._serialize_to_dict()) == self.of(whole=False)

    def test_another_password_is_no_change(self) -> None:
        def with_password(password: str) -> Any:
            return lambda e: setattr(e.docker.base_image_registry, "password", password)

        assert self.of(with_password("hunter2")) == self.of(with_password("hunter3")) != self.of()
        assert "hunter" not in self.of(with_password("hunter2"))


class TestMistakes:
    @pytest.mark.parametrize(
        ("call", "parts"),
        [
            (lambda: Environment("AzureML-mine").register(Away()), ["name: 'AzureML-mine'", "begins with 'AzureML'", "clone('my-"]),
            (lambda: Environment("  ").register(Away()), ["name: '  ' is not the name", "Give a string"]),
            (lambda: Environment("e").register("ws"), ["workspace: expected a Workspace, got 'ws'", "Workspace.from_config()"]),
            (lambda: Environment.list("ws"), ["workspace: expected a Workspace, got 'ws'", "Workspace.from_config()"]),
            (lambda: Environment.get("ws", "e"), ["workspace: expected a Workspace, got 'ws'", "Workspace.from_config()"]),
            (lambda: Environment.label("ws", "e", "1", ["a"]), ["workspace: expected a Workspace, got 'ws'", "Workspace.from_config()"]),
            (lambda: EnvironmentReference("e").get_environment("ws"), ["workspace: expected a Workspace, got 'ws'"]),
            (lambda: Environment.get(Away(), 7), ["name: expected a string, got 7", "Give for instance"]),
            (lambda: Environment.get(Away(), ""), ["name: expected a string, got ''", "Give for instance"]),
            (lambda: Environment.get(Away(), "e", "1", "a"), ["version and label: both are given ('1', 'a')", "Give one of them"]),
            (lambda: Environment.get(Away(), "e", label=7), ["label: expected a string, got 7", "Give for instance"]),
            (lambda: Environment.label(Away(), 7, "1", ["a"]), ["name: expected a string, got 7", "Give for instance"]),
            (lambda: Environment.label(Away(), "e", "1", "a"), ["labels: expected a list of strings, got 'a'", "['production']"]),
            (lambda: Environment.label(Away(), "e", "1", [7]), ["labels: expected a list of strings, got [7]", "['production']"]),
            (lambda: Environment.label(Away(), "e", "1", ["latest"]), ["labels: 'latest' is always the newest", "another label"]),
            (lambda: Environment.label(Away(), "AzureML-Minimal", "1", ["a"]), ["name: 'AzureML-Minimal'", "begins with 'AzureML'"]),
        ],
    )
    def test_mistake(self, call: Any, parts: list[str]) -> None:
        with pytest.raises(UserErrorException) as caught:
            call()
        assert all(part in caught.value.message for part in parts), caught.value.message

    def test_no_server(self) -> None:
        environment = Environment("e")
        environment.docker.base_image_registry.password = "hunter2"
        for call in (lambda: environment.register(Away()), lambda: Environment.get(Away(), "e"), lambda: Environment.list(Away())):
            with pytest.raises(ServiceException, match="No answer from the Prefect server at http://127.0.0.1:1/api") as caught:
                call()
            assert "hunter2" not in str(caught.value)


class TestRemember:
    def test_a_failure_is_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        assert registry.remember(Away()._prefect(), "e", Environment("e")._serialize_to_dict()) is None
        assert "Environment 'e' was not registered: No answer from the Prefect server" in caplog.text

    def test_nothing_to_register(self) -> None:
        assert registry.remember(Away()._prefect(), None, {"a": 1}) is None
        assert registry.remember(Away()._prefect(), "e", {}) is None

    def test_a_curated_one(self, caplog: pytest.LogCaptureFixture) -> None:
        definition = curated.definition("AzureML-Minimal")
        assert definition is not None
        assert registry.remember(Away()._prefect(), "AzureML-Minimal", json.loads(json.dumps(definition))) == "1"
        assert caplog.text == ""

    @pytest.mark.parametrize("name", ["AzureML-Minimal", "AzureML-mine"])
    def test_a_reserved_name(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        changed = Environment(name)
        changed.python.conda_dependencies.add_pip_package("numpy")
        assert registry.remember(Away()._prefect(), name, changed._serialize_to_dict()) is None
        assert f"Environment {name!r} is not registered: names that begin with AzureML" in caplog.text
