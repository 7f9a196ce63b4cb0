"""Images whose base image or packages are behind passwords: found again, and without a trace of the secrets."""

from __future__ import annotations

import os
import tarfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows.environments import image
from mlflows.environments.engine import Engine as DockerCommand
from mlflows.environments.environment import Environment
from mlflows.environments.image import BuiltImage
from mlflows.environments.image_registry import Registry
from mlflows.environments.sections import ContainerRegistry
from mlflows.exceptions import UserErrorException
from tests.support.engine import Engine
from tests.support.engine import Registry as RegistryService
from tests.support.forward import forwarded
from tests.support.images import assert_nowhere, files_of, unique
from tests.support.wheels import index, make_wheel

pytestmark = pytest.mark.usefixtures("own_store")

CANARY = "canary-7c9e"


def of_registry(base: str, address: str, registry: RegistryService) -> Environment:
    """An environment on an image of a registry with a password, at this address."""
    environment = unique(base)
    environment.docker.base_image_registry.address = address
    environment.docker.base_image_registry.username = registry.username
    environment.docker.base_image_registry.password = registry.password
    return environment


class TestBaseImageOfARegistry:
    """What was pulled for a build is known as the base of it from then on."""

    def test_registry_away_after_the_build(
        self, locked_base: str, private_image_registry: RegistryService, built: Callable[..., BuiltImage]
    ) -> None:
        with forwarded(private_image_registry.address) as address:
            environment = of_registry(locked_base.partition("/")[2], address, private_image_registry)
            first = built(environment)
        log: list[str] = []
        began = time.monotonic()
        assert built(environment, write=log.append) == first
        assert log == [] and time.monotonic() - began < 0.3
        assert image.is_here(environment._serialize_to_dict(), DockerCommand.find())

    def test_registry_away_and_the_base_never_pulled(
        self,
        locked_base: str,
        private_image_registry: RegistryService,
        image_registry: RegistryService,
        built: Callable[..., BuiltImage],
        docker_engine: Engine,
    ) -> None:
        registry = Registry(image_registry.address)
        with forwarded(private_image_registry.address) as address:
            name = locked_base.partition("/")[2]
            environment = of_registry(name, address, private_image_registry)
            first = built(environment, registry=registry)
            docker_engine.docker("rmi", "--force", first.name, f"{image.REPOSITORY}:{first.digest}", f"{address}/{name}")
            assert built(environment, registry=registry).digest == first.digest
        assert built(environment, registry=registry).digest == first.digest
        assert image.is_here(environment._serialize_to_dict(), DockerCommand.find(), registry)

    def test_registry_that_only_the_engine_may_ask(
        self, locked_base: str, tmp_path: Path, built: Callable[..., BuiltImage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "login"))  # of the fixture: the engine's command is logged in, we are not
        environment = unique(locked_base)
        logs: list[list[str]] = [[], []]
        first, second = (built(environment, write=log.append) for log in logs)
        assert first == second and logs[0].count(f"Pulling {locked_base}\n") == 1 and logs[1] == []


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_layers_of_a_saved_image_are_known_by_what_they_are(tmp_path: Path, mode: str) -> None:
    """Engines have saved them as layer.tar, and do as blobs named by their digests."""
    (tmp_path / "config").write_text("{}")
    (tmp_path / "secret").write_text(CANARY)
    with tarfile.open(tmp_path / "layer", mode) as layer:  # type: ignore[call-overload]
        layer.add(tmp_path / "secret", "etc/secret")
    with tarfile.open(tmp_path / "image.tar", "w") as saved:
        saved.add(tmp_path / "config", "blobs/sha256/1")
        saved.add(tmp_path / "layer", "blobs/sha256/2")
    assert dict(files_of(tmp_path / "image.tar")) == {"blobs/sha256/1": b"{}", "etc/secret": CANARY.encode()}


class TestSecrets:
    """Canaries planted wherever a secret may be given are found in nothing that stays."""

    def test_passwords_with_buildkit(
        self,
        buildkit: None,
        locked_base: str,
        private_image_registry: RegistryService,
        built: Callable[..., BuiltImage],
        docker_engine: Engine,
        tmp_path: Path,
    ) -> None:
        self.test_passwords_of_registries(locked_base, private_image_registry, built, docker_engine, tmp_path)

    def test_passwords_of_registries(
        self,
        locked_base: str,
        private_image_registry: RegistryService,
        built: Callable[..., BuiltImage],
        docker_engine: Engine,
        tmp_path: Path,
    ) -> None:
        password = private_image_registry.password
        assert password
        environment = unique(locked_base.partition("/")[2])
        environment.docker.base_image_registry.address = private_image_registry.address
        environment.docker.base_image_registry.username = private_image_registry.username
        environment.docker.base_image_registry.password = "{{ prefect.blocks.secret.base-password }}"
        environment.environment_variables = {"API_TOKEN": CANARY, "REFERRED": "{{ prefect.blocks.secret.token }}"}
        log: list[str] = []
        registry = Registry(private_image_registry.address, private_image_registry.username, password)
        found = built(environment, registry=registry, resolve={"base-password": password}.__getitem__, write=log.append)
        assert private_image_registry.status(f"mlflows/env/manifests/{found.digest}") == 200
        pinned = (Path(os.environ["MLFLOWS_HOME"]) / "environments" / found.digest / "Dockerfile").read_text().splitlines()[1]
        assert pinned.startswith(f"FROM {locked_base.rpartition(':')[0]}@sha256:")
        assert_nowhere([password, CANARY], found, log, docker_engine, tmp_path)

    def test_locked_image_as_it_is(
        self, locked_base: str, private_image_registry: RegistryService, built: Callable[..., BuiltImage], docker_engine: Engine
    ) -> None:
        registry = ContainerRegistry()
        registry.address, registry.username = private_image_registry.address, private_image_registry.username
        registry.password = private_image_registry.password
        log: list[str] = []
        found = built(Environment.from_docker_image("locked", locked_base.partition("/")[2], registry), write=log.append)
        assert (found.name, found.ours) == (locked_base, False)
        docker_engine.docker("image", "inspect", found.name)
        store = [path.read_text() for path in Path(os.environ["MLFLOWS_HOME"]).rglob("*") if path.is_file()]
        assert str(registry.password) not in "".join([*log, *store])

    def test_addresses(
        self, buildkit: None, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, tmp_path: Path, host: str
    ) -> None:
        secret = f"{CANARY}-{uuid.uuid4().hex}/+"
        folder = tmp_path / "packages"
        for name in ("wheelofurl", "fromindex"):
            make_wheel(folder, name)
        with index(folder, secret, host) as packages:
            user = f"person:{{{{prefect.blocks.secret.index}}}}@{packages.address}"
            lines = [f"--extra-index-url http://{user}/simple/", f"wheelofurl @ http://{user}/wheelofurl-1.0-py3-none-any.whl", "fromindex"]
            log: list[str] = []
            found = built(unique(base_image, *lines), resolve={"index": secret}.__getitem__, write=log.append)
            assert "/fromindex-1.0-py3-none-any.whl" in packages.asked
        assert "wheelofurl" in docker_engine.docker("run", "--rm", found.name, "pip", "list")
        assert_nowhere([secret, secret.replace("/", "%2F").replace("+", "%2B"), CANARY], found, log, docker_engine, tmp_path)

    def test_settings_of_pip(
        self,
        buildkit: None,
        base_image: str,
        built: Callable[..., BuiltImage],
        docker_engine: Engine,
        tmp_path: Path,
        host: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An index with a password that this machine has set for pip, as behind a company's mirror."""
        secret = f"{CANARY}-{uuid.uuid4().hex}"
        make_wheel(tmp_path / "packages", "frommirror")
        with index(tmp_path / "packages", secret, host) as packages:
            monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"http://person:{secret}@{packages.address}/simple/")
            log: list[str] = []
            found = built(unique(base_image, "frommirror"), write=log.append)
            assert "/frommirror-1.0-py3-none-any.whl" in packages.asked
            monkeypatch.setenv("DOCKER_BUILDKIT", "0")
            with pytest.raises(UserErrorException, match=r"needs secrets while it is built \((PIP_EXTRA_INDEX_URL|UV_INDEX)\)"):
                built(unique(base_image, "frommirror"))
        assert_nowhere([secret, CANARY], found, log, docker_engine, tmp_path)

    def test_classic_builder_refuses(self, base_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_BUILDKIT", "0")
        environment = unique(base_image, f"--extra-index-url https://user:{CANARY}@example.org/simple")
        with pytest.raises(UserErrorException, match="needs secrets while it is built.*Install BuildKit") as caught:
            image.ensure_image(environment._serialize_to_dict())
        assert CANARY not in str(caught.value)

    def test_token_in_the_place_of_a_user_name(
        self,
        buildkit: None,
        base_image: str,
        built: Callable[..., BuiltImage],
        docker_engine: Engine,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        secret = f"{CANARY}-{uuid.uuid4().hex}"
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"https://{secret}@example.org/simple/")
        shown = f"RUN --mount=type=secret,id=mlflows-indexes cat /run/secrets/mlflows-indexes && echo {uuid.uuid4().hex}"
        environment = Environment.from_dockerfile("token", f"FROM {base_image}\n{shown}\n")
        environment.python.interpreter_path = "python3"
        log: list[str] = []
        found = built(environment, write=log.append)
        assert "https://****@example.org/simple/" in "".join(log)
        assert_nowhere([secret, CANARY], found, log, docker_engine, tmp_path)
        monkeypatch.setenv("DOCKER_BUILDKIT", "0")
        with pytest.raises(UserErrorException, match=r"needs secrets while it is built \((PIP_EXTRA_INDEX_URL|UV_INDEX)\)") as caught:
            built(unique(base_image))
        assert CANARY not in str(caught.value)
