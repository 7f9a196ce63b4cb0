"""Which python a local job is started with."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import pytest

from mlflows.environments import builds, curated, image
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import Environment
from mlflows.environments.resolve import resolve_interpreter
from mlflows.exceptions import UserErrorException
from mlflows.spec import EnvironmentSpec


def spec_of(environment: Environment) -> EnvironmentSpec:
    return EnvironmentSpec(environment.name, environment.version, None, environment._serialize_to_dict())


def user_managed(path: str) -> EnvironmentSpec:
    environment = Environment("mine")
    environment.python.user_managed_dependencies = True
    environment.python.interpreter_path = path
    return spec_of(environment)


def executable(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_nothing_given_is_this_python() -> None:
    assert resolve_interpreter(EnvironmentSpec()) == sys.executable


def test_default_environment_has_nothing_to_install(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert resolve_interpreter(spec_of(Environment("x"))) == sys.executable
    assert "'x' has nothing to install" in caplog.text


def test_only_azureml_packages_have_nothing_to_install() -> None:
    environment = Environment("x")
    environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["azureml-core==1.2", "AzureML_Mlflow", "azureml-defaults"], conda_packages=["pip=20", "setuptools"]
    )
    assert resolve_interpreter(spec_of(environment)) == sys.executable


class TestAPythonThatIsAskedForWithoutPackages:
    OWN = "{}.{}.{}".format(*sys.version_info)

    def told(self, caplog: pytest.LogCaptureFixture, request: str) -> tuple[str, str]:
        environment = Environment("x")
        environment.python.conda_dependencies = CondaDependencies()
        environment.python.conda_dependencies.set_python_version(request)
        with caplog.at_level(logging.INFO):
            assert resolve_interpreter(spec_of(environment)) == sys.executable
        (record,) = caplog.records
        return record.levelname, record.getMessage()

    @pytest.mark.parametrize("request_", ["3.7", "3.7.9", ">=3.6,<3.8", "2.7", "nonsense"])
    def test_another_one(self, caplog: pytest.LogCaptureFixture, request_: str) -> None:
        level, message = self.told(caplog, request_)
        assert level == "WARNING" and "Name a package" in message
        assert f"'x' asks for python {request_}" in message and f"runs on {sys.executable}, python {self.OWN}." in message

    @pytest.mark.parametrize("request_", ["{}.{}".format(*sys.version_info), "{}.{}.29".format(*sys.version_info), ">=3.8"])
    def test_this_one(self, caplog: pytest.LogCaptureFixture, request_: str) -> None:
        assert self.told(caplog, request_) == ("INFO", f"Environment 'x' has nothing to install: the script runs on {sys.executable}.")

    @pytest.mark.parametrize("request_", ["3.8.13", "3.10.18"])
    def test_one_that_nobody_chose(self, caplog: pytest.LogCaptureFixture, request_: str) -> None:
        level, message = self.told(caplog, request_)
        assert level == "INFO"
        if not request_.startswith("{}.{}.".format(*sys.version_info)):
            assert f"python {self.OWN} ({request_} is what SDK v1 asks for where nobody does)" in message

    def test_a_curated_environment(self, caplog: pytest.LogCaptureFixture) -> None:
        definition = copy.deepcopy(curated.definition("AzureML-Minimal"))
        assert definition is not None
        definition["python"]["condaDependencies"]["dependencies"][0] = "python=3.7"
        assert resolve_interpreter(EnvironmentSpec("AzureML-Minimal", "1", None, definition)) == sys.executable
        assert f"'AzureML-Minimal' asks for python 3.7 and has nothing to install: the script runs on {sys.executable}" in caplog.text


@pytest.mark.parametrize("path", ["python", sys.executable])
def test_user_managed_on_this_python(path: str) -> None:
    assert resolve_interpreter(user_managed(path)) == sys.executable


def test_user_managed_packages_do_not_count() -> None:
    environment = Environment("x")
    environment.python.user_managed_dependencies = True
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["torch"])
    assert resolve_interpreter(spec_of(environment)) == sys.executable


def test_another_python_keeps_its_name(tmp_path: Path) -> None:
    python = executable(tmp_path / "python3", f"exec '{sys.executable}' \"$@\"")
    assert resolve_interpreter(user_managed(python)) == python
    assert resolve_interpreter(EnvironmentSpec(interpreter=python)) == python


def test_a_name_is_looked_up_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = executable(tmp_path / "mypython", f"exec '{sys.executable}' \"$@\"")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert resolve_interpreter(user_managed("mypython")) == python


def test_packages_need_a_python_of_their_own() -> None:
    environment = Environment("x")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["torch==2"])
    assert resolve_interpreter(spec_of(environment)) is None


def test_conda_packages_without_a_solver_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment("x")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=[], conda_packages=["numpy"])
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(UserErrorException, match=r"the conda packages numpy need a solver.*pip install 'mlflows\[conda\]'"):
        resolve_interpreter(spec_of(environment))


def test_an_image_that_is_not_used_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert resolve_interpreter(spec_of(Environment.from_docker_image("x", "my/image:1"))) == sys.executable
    assert "the image my/image:1 is not used, a local run has no container" in caplog.text


class TestBadInput:
    @pytest.mark.parametrize("path", ["/no/such/python", "no-such-python"])
    def test_missing(self, path: str) -> None:
        with pytest.raises(UserErrorException, match=f"interpreter_path: '{path}': there is no such file. Give the path"):
            resolve_interpreter(user_managed(path))

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="there is no such file"):
            resolve_interpreter(EnvironmentSpec(interpreter=str(tmp_path)))

    def test_not_executable(self, tmp_path: Path) -> None:
        (tmp_path / "python").write_text("")
        with pytest.raises(UserErrorException, match="is not executable"):
            resolve_interpreter(EnvironmentSpec(interpreter=str(tmp_path / "python")))

    def test_too_old(self, tmp_path: Path) -> None:
        python = executable(tmp_path / "python", "echo 2.7.18; exit 1")
        with pytest.raises(UserErrorException, match="is Python 2.7.18, at least 3.6 is needed"):
            resolve_interpreter(EnvironmentSpec(interpreter=python))

    def test_not_a_python(self, tmp_path: Path) -> None:
        python = executable(tmp_path / "python", "echo broken >&2; exit 7")
        with pytest.raises(UserErrorException, match=r"is not a Python that runs \(exit code 7\): broken"):
            resolve_interpreter(EnvironmentSpec(interpreter=python))

    def test_not_a_program(self, tmp_path: Path) -> None:
        (tmp_path / "python").write_bytes(b"\x7fELF")
        (tmp_path / "python").chmod(0o755)
        with pytest.raises(UserErrorException, match="does not run"):
            resolve_interpreter(EnvironmentSpec(interpreter=str(tmp_path / "python")))

    def test_name_only(self) -> None:
        with pytest.raises(UserErrorException, match="environment: 'AzureML-Minimal' is given by name only.*Give an Environment object"):
            resolve_interpreter(EnvironmentSpec(name="AzureML-Minimal"))

    def test_packages_that_cannot_be_right(self) -> None:
        environment = Environment("x")
        environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["torch=2"], conda_packages=["numpy"])
        with pytest.raises(UserErrorException, match="pip requirement 'torch=2' is not valid.*Write two equal signs"):
            resolve_interpreter(spec_of(environment))

    def test_base_conda_environment(self) -> None:
        environment = Environment("x")
        environment.python.base_conda_environment = "ours"
        definition = environment._serialize_to_dict()
        for asked in (
            lambda: resolve_interpreter(spec_of(environment)),
            lambda: builds.ensure(definition),
            lambda: image.render(definition),
        ):
            with pytest.raises(
                UserErrorException, match=r"base_conda_environment is set to 'ours'.*from_existing_conda_environment\(NAME, 'ours'\)"
            ):
                asked()
        environment.python.user_managed_dependencies = True
        assert resolve_interpreter(spec_of(environment)) == sys.executable

    def test_dockerfile(self) -> None:
        with pytest.raises(
            UserErrorException, match="docker.base_dockerfile is set, so an image would have to be built.*has no container. Set"
        ):
            resolve_interpreter(spec_of(Environment.from_dockerfile("x", "FROM a")))
