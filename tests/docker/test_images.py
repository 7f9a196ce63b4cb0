"""Images of environments with a real engine and real registries: built once, found again, run once each."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from mlflows.environments import image
from mlflows.environments.environment import Environment
from mlflows.environments.image import BuiltImage
from mlflows.environments.image_registry import Registry
from mlflows.environments.sections import DockerBuildContext
from mlflows.environments.work import BuildStopped, EnvironmentBuildError
from mlflows.exceptions import AuthenticationException
from tests.support.engine import Engine
from tests.support.engine import Registry as RegistryService
from tests.support.images import unique, with_packages
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.usefixtures("own_store")

CANARY = "canary-7c9e"
IMPORTS = "import sys, {}; from azureml.core import Run; import mlflows; print('ran', sys.prefix, mlflows.__file__)"


@pytest.fixture
def job_folder(tmp_path: Path) -> Path:
    """A job folder with the import path in it."""
    library = tmp_path / "job" / "lib"
    library.mkdir(parents=True)
    for name, target in (("mlflows", ROOT / "mlflows"), ("azureml", ROOT / "mlflows" / "azureml_path" / "azureml")):
        subprocess.run(["cp", "-r", str(target), str(library / name)], check=True)
    return library.parent


def ran(engine: Engine, found: BuiltImage, job: Path, module: str) -> str:
    """What python of the image prints that imports a package and SDK v1's names, in a job, with PYTHONPATH set to something else."""
    program = IMPORTS.format(module)
    mounted = ["--volume", f"{job}:/job", "--env", "MLFLOWS_JOB_FOLDER=/job"]
    if not found.ours:
        mounted += ["--env", "PYTHONPATH=/job/lib"]
        return engine.docker("run", "--rm", *mounted, found.name, found.python, "-c", program)
    return engine.docker("run", "--rm", *mounted, found.name, "sh", "-c", f'export PYTHONPATH=/x; {found.python} -c "{program}"')


class TestKinds:
    """Each way to describe an environment, built and run once."""

    def test_pip_file(
        self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "requirements.txt").write_text("azureml-defaults\nsix==1.17.0\n")
        environment = Environment.from_pip_requirements("pip", tmp_path / "requirements.txt")
        environment.docker.base_image = base_image
        log: list[str] = []
        found = built(environment, write=log.append)
        said = ran(docker_engine, found, job_folder, "six")
        assert "ran /azureml-envs/mlflows /job/lib/mlflows/__init__.py" in said
        assert "azureml-defaults is not installed" in "".join(log)
        assert (Path(os.environ["MLFLOWS_HOME"]) / "environments" / found.digest / "Dockerfile").read_text().startswith("FROM ")

    def test_conda_file_without_conda_packages(
        self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "conda.yml").write_text("dependencies: [python=3.11, pip, {pip: [six]}]\n")
        environment = Environment.from_conda_specification("conda", tmp_path / "conda.yml")
        environment.docker.base_image = base_image
        assert "ran /azureml-envs/mlflows" in ran(docker_engine, built(environment), job_folder, "six, pip")

    def test_image_as_it_is(self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path) -> None:
        environment = Environment.from_docker_image("own", base_image)
        environment.python.interpreter_path = "/usr/bin/python3"
        found = built(environment)
        assert (found.name, found.python, found.ours) == (base_image, "/usr/bin/python3", False)
        assert "ran /usr /job/lib/mlflows/__init__.py" in ran(docker_engine, found, job_folder, "json")

    def test_dockerfile(self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path) -> None:
        dockerfile = f"FROM {base_image}\nRUN ln -s /usr/bin/python3 /usr/local/bin/python && useradd person\nUSER person\n"
        found = built(Environment.from_dockerfile("dockerfile", dockerfile))
        assert (found.python, found.ours) == ("python", True)
        assert "ran /usr /job/lib/mlflows/__init__.py" in ran(docker_engine, found, job_folder, "json")
        assert docker_engine.docker("run", "--rm", found.name, "whoami").strip() == "person"

    def test_packages_on_a_dockerfile(
        self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "requirements.txt").write_text("six\n")
        dockerfile = f"FROM {base_image}\nRUN useradd person && echo yes >/mark\nUSER person\n"
        found = built(Environment.from_dockerfile("both", dockerfile, pip_requirements=tmp_path / "requirements.txt"))
        assert "ran /azureml-envs/mlflows" in ran(docker_engine, found, job_folder, "six")
        assert docker_engine.docker("run", "--rm", found.name, "sh", "-c", "cat /mark; whoami").split() == ["yes", "person"]

    def test_user_of_the_image_below_a_dockerfile(
        self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, tmp_path: Path
    ) -> None:
        (tmp_path / "requirements.txt").write_text("six\n")
        below = f"mlflows-tests/below:{uuid.uuid4().hex[:8]}"
        docker_engine.docker("build", "--tag", below, "-", stdin=f"FROM {base_image}\nRUN useradd person\nUSER person\n")
        try:
            environment = Environment.from_dockerfile("below", f"FROM {below} AS last\n", pip_requirements=tmp_path / "requirements.txt")
            assert docker_engine.docker("run", "--rm", built(environment).name, "whoami").strip() == "person"
        finally:
            docker_engine.docker("rmi", "--force", below)

    def test_build_context(
        self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path, tmp_path: Path
    ) -> None:
        folder = tmp_path / "context"
        folder.mkdir()
        (folder / "mymodule.py").write_text("x = 1\n")
        (folder / "secrets.txt").write_text(CANARY)
        (folder / ".dockerignore").write_text("*.txt\n")
        (folder / "Dockerfile").write_text(f"FROM {base_image}\nCOPY . /usr/local/lib/python3.11/dist-packages/\n")
        environment = Environment.from_docker_build_context("context", DockerBuildContext.from_local_directory(None, folder))
        environment.python.interpreter_path = "python3"
        found = built(environment)
        assert "ran /usr" in ran(docker_engine, found, job_folder, "mymodule")
        listed = docker_engine.docker("run", "--rm", found.name, "ls", "-a", "/usr/local/lib/python3.11/dist-packages")
        assert "mymodule.py" in listed and "secrets.txt" not in listed

    def test_private_wheel(
        self, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path, tmp_path: Path
    ) -> None:
        found = built(with_packages(base_image, make_wheel(tmp_path, "privatepackage").as_uri()))
        assert "ran /azureml-envs/mlflows" in ran(docker_engine, found, job_folder, "privatepackage")
        other = built(with_packages(base_image, make_wheel(tmp_path, "privatepackage", files={"privatepackage.py": "x = 1"}).as_uri()))
        assert other.digest != found.digest


class TestBuildKit:
    """The same with the better builder."""

    def test_packages_and_a_wheel(
        self, buildkit: None, base_image: str, built: Callable[..., BuiltImage], docker_engine: Engine, job_folder: Path, tmp_path: Path
    ) -> None:
        log: list[str] = []
        found = built(unique(base_image, make_wheel(tmp_path, "privatepackage").as_uri()), write=log.append)
        assert "with BuildKit" in "".join(log)
        assert "ran /azureml-envs/mlflows" in ran(docker_engine, found, job_folder, "six, privatepackage")
        cache = docker_engine.docker("run", "--rm", found.name, "sh", "-c", "ls -A /var/cache/mlflows /run/secrets 2>/dev/null || true")
        assert ".whl" not in cache and "mlflows-indexes" not in cache

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("RNU true", "line 2 of the Dockerfile is not right: unknown instruction: RNU"),
            ("RUN echo this is why && false", "a step of the build failed: this is why."),
            ("COPY nofile /x", 'a file that is to be copied is not in the build context: "/nofile"'),
        ],
    )
    def test_errors(self, buildkit: None, base_image: str, line: str, said: str) -> None:
        assert said in TestErrors.message(Environment.from_dockerfile("e", f"FROM {base_image}\n{line}\n"))

    def test_unresolvable_pins(self, buildkit: None, base_image: str) -> None:
        assert TestErrors.message(with_packages(base_image, "idna", "six==999")).startswith(
            "the requirement six==999 cannot be installed: "
        )


class TestByHand:
    """The rendered context is a person's to build."""

    @staticmethod
    def build(base: str, engine: Engine, folder: Path, switch: str) -> None:
        environment = with_packages(base, "six", make_wheel(folder, "privatepackage").as_uri())
        recipe = image.render(environment._serialize_to_dict())
        assert recipe is not None
        recipe.write(folder / "context")
        name = f"mlflows-tests/by-hand:{uuid.uuid4().hex[:8]}"
        engine.docker("build", "--tag", name, str(folder / "context"), environment={"DOCKER_BUILDKIT": switch})
        try:
            assert engine.docker("run", "--rm", name, "python", "-c", "import six, privatepackage; print('ran')").strip() == "ran"
        finally:
            engine.docker("rmi", "--force", name)

    def test_classic(self, base_image: str, docker_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_BUILDKIT", "0")
        self.build(base_image, docker_engine, tmp_path, "0")

    def test_buildkit(self, buildkit: None, base_image: str, docker_engine: Engine, tmp_path: Path) -> None:
        self.build(base_image, docker_engine, tmp_path, "1")


class TestKnownAgain:
    """One build for what decides the result; none for anything else."""

    def test_name_version_variables_and_azureml_packages_build_nothing(self, base_image: str, built: Callable[..., BuiltImage]) -> None:
        environment = unique(base_image, "azureml-core")
        first = built(environment)
        environment.name, environment.version = "other", "7"
        environment.environment_variables = {"A": "1"}
        assert environment.python.conda_dependencies is not None
        environment.python.conda_dependencies.remove_pip_package("azureml-core")
        log: list[str] = []
        began = time.monotonic()
        assert built(environment, write=log.append) == first
        assert log == [] and time.monotonic() - began < 0.3

    def test_order_of_requirements_counts(self, base_image: str) -> None:
        names = [
            image.describe(with_packages(base_image, *lines)._serialize_to_dict()).name for lines in (("six", "idna"), ("idna", "six"))
        ]
        assert names[0] != names[1]

    def test_base_image_behind_a_tag_counts(self, base_image: str, docker_engine: Engine) -> None:
        tag = f"mlflows-tests/moving:{uuid.uuid4().hex[:8]}"
        definition = with_packages(tag, "six")._serialize_to_dict()
        docker_engine.docker("tag", base_image, tag)
        try:
            before = image.describe(definition).name
            docker_engine.docker("build", "--tag", tag, "-", stdin=f"FROM {base_image}\nLABEL moved={tag}\n")
            assert image.describe(definition).name != before
        finally:
            docker_engine.docker("rmi", "--force", tag)

    def test_twenty_at_once_build_once(self, base_image: str, built: Callable[..., BuiltImage]) -> None:
        environment = unique(base_image)
        logs: list[list[str]] = [[] for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            found = list(pool.map(lambda log: built(environment, write=log.append), logs))
        assert len({each.id for each in found}) == 1
        assert sum("Waiting" in "".join(log) for log in logs) == 19
        log = (Path(os.environ["MLFLOWS_HOME"]) / "environments" / found[0].digest / "build.log").read_text()
        assert log.count("Building mlflows/env:") == 1

    def test_from_the_registry(
        self, base_image: str, image_registry: RegistryService, built: Callable[..., BuiltImage], docker_engine: Engine
    ) -> None:
        registry = Registry(f"{image_registry.address}/team")
        environment = unique(base_image)
        first = built(environment, registry=registry)
        assert first.name == f"{image_registry.address}/team/mlflows/env:{first.digest}"
        assert image_registry.status(f"team/mlflows/env/manifests/{first.digest}") == 200
        docker_engine.docker("rmi", "--force", first.name, f"mlflows/env:{first.digest}")
        assert image.describe(environment._serialize_to_dict(), registry=registry).exists
        log: list[str] = []
        assert built(environment, registry=registry, write=log.append) == first
        assert "Pulling" in "".join(log) and "Building mlflows/env" not in "".join(log)

    def test_built_before_there_was_a_registry(
        self, base_image: str, image_registry: RegistryService, built: Callable[..., BuiltImage]
    ) -> None:
        environment = unique(base_image)
        built(environment)
        log: list[str] = []
        found = built(environment, registry=Registry(image_registry.address), write=log.append)
        assert image_registry.status(f"mlflows/env/manifests/{found.digest}") == 200
        assert "Pushing" in "".join(log) and "Building mlflows/env" not in "".join(log)


class TestErrors:
    """Each a sentence with a remedy, and the place of the log."""

    @staticmethod
    def message(environment: Environment, kind: type[Exception] = EnvironmentBuildError, **more: Any) -> str:
        with pytest.raises(kind) as caught:
            image.ensure_image(environment._serialize_to_dict(), **more)
        return str(caught.value.message)  # type: ignore[attr-defined]

    def test_syntax_of_a_dockerfile(self, base_image: str) -> None:
        said = self.message(Environment.from_dockerfile("e", f"FROM {base_image}\nRNU true\n"))
        assert said.startswith(
            "docker.base_dockerfile: line 2 of the Dockerfile is not right: unknown instruction: RNU. Correct it. The log"
        )

    def test_step_that_fails(self, base_image: str) -> None:
        said = self.message(Environment.from_dockerfile("e", f"FROM {base_image}\nRUN echo this is why && false\n"))
        assert "docker.base_dockerfile: a step of the build failed: this is why. The log" in said

    def test_file_that_is_not_there(self, base_image: str) -> None:
        said = self.message(Environment.from_dockerfile("e", f"FROM {base_image}\nCOPY nofile /x\n"))
        assert "a file that is to be copied is not in the build context" in said and "nofile" in said

    def test_base_image_not_found(self, image_registry: RegistryService) -> None:
        said = self.message(with_packages(f"{image_registry.address}/nowhere:1", "six"))
        assert said.startswith(f"docker.base_image: {image_registry.address}/nowhere:1 was not found")
        assert "base_image_registry" in said

    def test_image_after_from_not_found(self, image_registry: RegistryService) -> None:
        said = self.message(Environment.from_dockerfile("e", f"FROM {image_registry.address}/nowhere:1\nRUN true\n"))
        assert said.startswith(f"docker.base_dockerfile: {image_registry.address}/nowhere:1 was not found")

    def test_image_after_from_not_found_by_buildkit(self, buildkit: None, image_registry: RegistryService) -> None:
        self.test_image_after_from_not_found(image_registry)

    def test_registry_of_the_base_image_away(self, docker_engine: Engine) -> None:
        said = self.message(Environment.from_docker_image("e", "127.0.0.1:9/nowhere:1"))
        assert "the registry of 127.0.0.1:9/nowhere:1 cannot be reached" in said

    def test_unresolvable_pins(self, base_image: str) -> None:
        said = self.message(with_packages(base_image, "idna", "six==999"))
        assert said.startswith("the requirement six==999 cannot be installed: ") and "environment.python.conda_dependencies" in said

    def test_index_that_nobody_serves(self, base_image: str, host: str) -> None:
        said = self.message(with_packages(base_image, f"--index-url http://{host}:9/simple", "six"))
        assert "six" in said and "onnection refused" in said and "The log of the build: " in said and "Start it" not in said
        [folder] = Path(os.environ["MLFLOWS_HOME"], "environments").glob("*/failed.json")
        assert "six" in folder.read_text()

    def test_step_that_looks_for_an_engine(self, base_image: str) -> None:
        printed = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
        said = self.message(Environment.from_dockerfile("e", f"FROM {base_image}\nRUN echo '{printed}' && false\n"))
        assert f"docker.base_dockerfile: a step of the build failed: {printed}" in said

    def test_image_without_python(self, base_image: str) -> None:
        environment = with_packages(base_image, "six")
        environment.docker.base_dockerfile = f"FROM {base_image}\nRUN rm /usr/bin/python3*\n"
        said = self.message(environment)
        assert (
            said.startswith("docker.base_dockerfile: this image has no python3, which installs the packages. ")
            and "apt-get install" in said
        )

    def test_image_without_pip(self, base_image: str) -> None:
        environment = with_packages(base_image, "six")
        gone = "/usr/lib/python3/dist-packages/pip /usr/lib/python3.11/ensurepip"
        environment.docker.base_dockerfile = f"FROM {base_image}\nRUN rm -r {gone}\n"
        assert "python3 of this image has neither pip nor venv" in self.message(environment)

    def test_wrong_password_of_the_registry(self, base_image: str, private_image_registry: RegistryService) -> None:
        wrong = Registry(private_image_registry.address, private_image_registry.username, "wrong")
        said = self.message(unique(base_image), AuthenticationException, registry=wrong)
        assert f"refuses the user name {private_image_registry.username!r}" in said and "container_registry.credentials" in said
        nobody = Registry(private_image_registry.address)
        assert "wants a user name and password" in self.message(unique(base_image), AuthenticationException, registry=nobody)

    def test_wrong_password_of_the_base_image(self, private_image_registry: RegistryService) -> None:
        environment = with_packages("base:1", "six")
        environment.docker.base_image_registry.address = private_image_registry.address
        environment.docker.base_image_registry.username = private_image_registry.username
        environment.docker.base_image_registry.password = "wrong"
        said = self.message(environment)
        assert f"{private_image_registry.address}/base:1" in said and "docker.base_image_registry" in said and "password" in said

    def test_stopped(self, base_image: str) -> None:
        stop = threading.Event()

        def write(line: str) -> None:
            if "sleeping" in line:
                stop.set()

        environment = Environment.from_dockerfile("e", f"FROM {base_image}\nRUN echo sleeping; sleep 100; echo {uuid.uuid4().hex}\n")
        began = time.monotonic()
        with pytest.raises(BuildStopped):
            image.ensure_image(environment._serialize_to_dict(), write=write, stopped=stop.is_set)
        assert time.monotonic() - began < 30
