"""Environments that uv really makes: what is in them, what is said of a failure, who waits and who takes over."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlflows.environments import builds, pythons, venv
from mlflows.environments.builds import BuildStopped, EnvironmentBuildError
from mlflows.environments.digest import digest
from mlflows.environments.job_path import PTH_LINE, PTH_NAME
from mlflows.exceptions import UserErrorException
from tests.support.wheels import index, make_slow_project, make_wheel
from tests.unit.environments.conftest import PYTHON, Environment, definition_of

Build = Callable[..., Environment]
CANARY = "canary-7f3a-secret"


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("condition not met in time")


def commands_with(text: str) -> list[str]:
    """Command lines of this machine's processes that have a text in them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in command:
                found.append(command)
    return found


def files_with(folder: Path, text: str) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


class TestWhatIsBuilt:
    def test_packages_of_an_index_once(self, build: Build, store: Path) -> None:
        made = build("six==1.16.0", "toolz", "azureml-defaults")
        assert made.run("import six, toolz, sys; print(six.__version__, '%d.%d' % sys.version_info[:2])") == f"1.16.0 {PYTHON}"
        assert "azureml-defaults is not installed: every job has its names from mlflows itself" in made.output
        assert made.built.log.read_text() == made.output
        assert made.built.interpreter.is_relative_to(store / made.built.digest)
        began = time.monotonic()
        again = build("six==1.16.0", "toolz", "azureml-core==1.0")
        assert time.monotonic() - began < 0.1
        assert (again.built, again.output) == (made.built, "")

    def test_pip_is_there_and_installs_into_it(self, build: Build, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "later")
        made = build("six")
        folder = made.built.interpreter.parent
        subprocess.run(
            [str(folder / "pip"), "install", "--no-index", "-q", str(wheel)], check=True, env={"PATH": str(folder)}, cwd=tmp_path
        )
        assert made.run("import later; print(later.VERSION)") == "1.0"
        assert sys.version_info >= (3, 12) or made.run("import pkg_resources, warnings; print('there')") == "there"

    def test_versions_of_pip_and_setuptools_that_conda_was_asked_for(self, build: Build) -> None:
        made = build("six", conda=["pip=24.0", "setuptools>=60,<70", "wheel"])
        versions = made.run("from importlib.metadata import version; print(version('pip'), version('setuptools'))")
        assert versions.startswith("24.0 6")

    def test_wheels_and_projects_of_this_machine(self, build: Build, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path, "private-lib", "3.1", {"private_lib.py": "WORD = 'one'\n"})
        gate = tmp_path / "gate"
        gate.touch()
        project = make_slow_project(tmp_path / "a project", gate)
        made = build(str(wheel), str(project))
        assert made.run("import private_lib, slow; print(private_lib.WORD, slow.VERSION)") == "one 1.0"
        make_wheel(tmp_path, "private-lib", "3.1", {"private_lib.py": "WORD = 'two'\n"})
        other = build(str(wheel), str(project))
        assert other.built.digest != made.built.digest
        assert other.run("import private_lib; print(private_lib.WORD)") == "two"

    def test_options_of_pip(self, build: Build, tmp_path: Path) -> None:
        make_wheel(tmp_path / "wheels", "lib", "1.0", requires=["not-there-at-all"])
        make_wheel(tmp_path / "wheels", "lib", "2.0rc1", requires=["not-there-at-all"])
        (tmp_path / "constraints.txt").write_text("lib<2\n")
        lines = ["--no-index", f"--find-links {tmp_path / 'wheels'}", "--no-deps", "--prefer-binary", "lib"]
        made = build(*lines)
        assert made.run("import lib; print(lib.VERSION)") == "1.0"
        assert "pip's option --prefer-binary has no effect here" in made.output
        assert "Without pip, which cannot be had" in made.output
        assert build(*lines, "--pre").run("import lib; print(lib.VERSION)") == "2.0rc1"
        assert build(*lines, "--pre", f"-c {tmp_path / 'constraints.txt'}").run("import lib; print(lib.VERSION)") == "1.0"

    def test_settings_of_pip_hold(self, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make_wheel(tmp_path / "wheels", "only-here", "1.0")
        with index(tmp_path / "wheels", CANARY) as served:
            config = tmp_path / "pip.conf"
            config.write_text(f"[global]\nextra-index-url = http://person:{CANARY}@{served.address}/simple\n")
            monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
            made = build("only-here", "six")
            assert made.run("import only_here, six; print(only_here.VERSION)") == "1.0"
            with pytest.raises(EnvironmentBuildError) as caught:
                build("only-here==7")
        assert CANARY not in caught.value.message + made.output
        assert not files_with(builds.store(), CANARY)

    def test_the_index_of_the_definition_is_stronger_than_the_machine_s(
        self, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("machine", "definition"):
            make_wheel(tmp_path / name, "lib", files={"lib.py": f"WORD = {name!r}\n"})
        with index(tmp_path / "machine") as machine, index(tmp_path / "definition") as own:
            monkeypatch.setenv("PIP_INDEX_URL", machine.url)
            assert build("lib").run("import lib; print(lib.WORD)") == "machine"
            assert build("lib", f"--index-url {own.url}").run("import lib; print(lib.WORD)") == "definition"

    def test_it_is_built_in_the_variables_of_who_wants_it(self, store: Path, tmp_path: Path) -> None:
        make_wheel(tmp_path / "wheels", "only-here")
        with index(tmp_path / "wheels") as served:
            environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_INDEX_URL": served.url}
            built = builds.ensure(definition_of("only-here"), environment=environment)
        assert Environment(built, "").run("import only_here; print(only_here.VERSION)") == "1.0"

    def test_another_python(self, build: Build) -> None:
        other = next((python for python in pythons.installed() if python.version[:2] != tuple(sys.version_info[:2])), None)
        if other is None:
            pytest.skip("another python is not on this machine")
        made = build("six", python=".".join(map(str, other.version[:2])))
        assert made.run("import sys, six; print(list(sys.version_info[:2]))") == str(list(other.version[:2]))

    def test_the_nearest_python(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        absent = next(micro for micro in range(30) if all(p.version != (*sys.version_info[:2], micro) for p in pythons.installed()))
        made = build("six", python=f"{PYTHON}.{absent}")
        assert f"is used in the place of {PYTHON}.{absent}, which is not on this machine" in made.output
        assert made.run("import sys; print('%d.%d' % sys.version_info[:2])") == PYTHON

    @pytest.mark.parametrize("wanted", ["3.8.13", "3.10.18"])
    def test_what_nobody_chose_is_no_reason_to_fail(self, build: Build, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
        own = pythons.own()
        if wanted.startswith(f"{PYTHON}."):
            pytest.skip("this python is one of that minor version")
        monkeypatch.setattr(pythons, "installed", lambda environment: [own])
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        made = build("six", python=wanted)
        assert made.run("import six, sys; print('%d.%d' % sys.version_info[:2])") == PYTHON
        assert f"Python {own} is used in the place of {wanted}, which SDK v1 asks for where nobody does\n" in made.output

    @pytest.mark.parametrize("variable", ["PATH", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME", "HOME"])
    def test_pythons_are_those_of_who_wants_it(self, variable: str, store: Path, tmp_path: Path) -> None:
        below = {
            "PATH": "",
            "PYENV_ROOT": "versions/3.29.1/bin",
            "UV_PYTHON_INSTALL_DIR": "cpython-3.29/bin",
            "XDG_DATA_HOME": "uv/python/cpython-3.29/bin",
            "HOME": ".pyenv/versions/3.29.1/bin",
        }
        folder = tmp_path / "theirs" / below[variable]
        folder.mkdir(parents=True)
        (folder / "python3.29").write_text('#!/bin/sh\ncase "$*" in *version_info*) echo 3.29.1;; *) exit 1;; esac\n')
        (folder / "python3.29").chmod(0o755)
        environment = {"PATH": "/usr/bin:/bin", "UV_PYTHON_DOWNLOADS": "never", variable: str(tmp_path / "theirs")}
        with pytest.raises(EnvironmentBuildError, match=f"no environment can be made of {folder}/python3.29"):
            builds.ensure(definition_of("six", python="3.29"), environment=environment)


class TestJobPath:
    @pytest.fixture(scope="class")
    def made(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
        """One for all."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOWS_HOME", str(tmp_path_factory.mktemp("home")))
            yield Environment(builds.ensure(definition_of("six")), "")

    @pytest.fixture
    def job(self, tmp_path: Path) -> Path:
        (tmp_path / "job" / "lib" / "azureml").mkdir(parents=True)
        package = Path(builds.__file__).parents[1]
        (tmp_path / "job" / "lib" / "mlflows").symlink_to(package)
        (tmp_path / "job" / "lib" / "azureml").rmdir()
        (tmp_path / "job" / "lib" / "azureml").symlink_to(package / "azureml_path" / "azureml")
        return tmp_path / "job"

    SHOW = "import sys; print([p for p in sys.path if p.endswith('/lib') and 'job' in p], 'azureml' in sys.modules)"

    @pytest.mark.parametrize("flags", [(), ("-I",), ("-E",), ("-s",)])
    def test_first_on_the_path_inside_a_job(self, made: Environment, job: Path, flags: tuple[str, ...]) -> None:
        assert made.run(self.SHOW, *flags, MLFLOWS_JOB_FOLDER=str(job)) == f"{[str(job / 'lib')]} False"
        code = "import sys, azureml.core; print(sys.path.index(%r) < sys.path.index(next(p for p in sys.path if 'site-packages' in p)))"
        assert made.run(code % str(job / "lib"), *flags, MLFLOWS_JOB_FOLDER=str(job), PYTHONPATH="/nowhere") == "True"

    def test_nothing_outside_a_job(self, made: Environment) -> None:
        assert made.run(self.SHOW) == "[] False"
        assert (made.built.interpreter.parents[1] / "lib" / f"python{PYTHON}" / "site-packages" / PTH_NAME).read_text() == PTH_LINE + "\n"

    def test_a_path_that_has_it_already_stays(self, made: Environment, job: Path) -> None:
        path = f"/mine:{job / 'lib'}"
        code = "import sys; print(sys.path[:3])"
        assert made.run(code, MLFLOWS_JOB_FOLDER=str(job), PYTHONPATH=path) == f"{['', '/mine', str(job / 'lib')]}"

    @pytest.mark.parametrize("regular", [True, False], ids=["package", "namespace"])
    def test_genuine_azureml_packages_go_on_working(self, build: Build, job: Path, tmp_path: Path, regular: bool) -> None:
        files = {"azureml/opendatasets/__init__.py": "WORD = 'genuine'\n", "azureml/core/extra.py": "WORD = 'extra'\n"}
        if regular:
            text = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
            files.update({"azureml/__init__.py": text, "azureml/core/__init__.py": "Run = 'genuine'\n"})
        wheel = make_wheel(tmp_path, "azureml-opendatasets", "1.0", files)
        made = build(str(wheel))
        code = (
            "import azureml.opendatasets as o, azureml.core.extra as e; from azureml.core import Run; print(o.WORD, e.WORD, Run.__module__)"
        )
        assert made.run(code, MLFLOWS_JOB_FOLDER=str(job)) == "genuine extra mlflows.job.run"
        assert made.run("import azureml.opendatasets as o; print(o.WORD)") == "genuine"


class TestFailures:
    def failure(self, build: Build, *pip: str, **more: Any) -> str:
        with pytest.raises(EnvironmentBuildError) as caught:
            build(*pip, **more)
        message = caught.value.message
        log = builds.folder_of(digest(definition_of(*pip, **more), "venv")) / "build.log"
        assert message.endswith(f"The log of the build: {log}") and "The build failed" in log.read_text()
        assert sorted(path.name for path in log.parent.iterdir()) == ["build.log", "definition.json", "failed.json"]
        return message

    def test_a_pin_that_is_not_there(self, build: Build) -> None:
        message = self.failure(build, "toolz", "six==99.0")
        assert "the requirement six==99.0 cannot be installed" in message and "there is no version of six==99.0" in message
        assert "Change environment.python.conda_dependencies" in message

    def test_pins_that_contradict_each_other(self, build: Build, tmp_path: Path) -> None:
        for version, wants in {"1.0": "other<2", "2.0": "other<2"}.items():
            make_wheel(tmp_path / "wheels", "lib", version, requires=[wants])
        make_wheel(tmp_path / "wheels", "other", "2.0")
        message = self.failure(build, "--no-index", f"--find-links {tmp_path / 'wheels'}", "lib", "Other==2.0")
        assert "the requirement lib and Other==2.0 cannot be installed" in message and "other<2" in message

    def test_a_name_that_nobody_has(self, build: Build, tmp_path: Path) -> None:
        message = self.failure(build, "--no-index", "surely-not-there")
        assert "the requirement surely-not-there cannot be installed" in message

    def test_a_project_that_does_not_build(self, build: Build, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        gate.touch()
        project = make_slow_project(tmp_path / "project", gate)
        (project / "backend.py").write_text("def build_wheel(*a, **k):\n    raise RuntimeError('no compiler here')\n")
        assert "no compiler here" in self.failure(build, str(project))

    def test_an_index_that_does_not_answer(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        message = self.failure(build, "--index-url http://127.0.0.1:9/simple", "six")
        assert "127.0.0.1:9" in message and "six" in message

    @pytest.mark.parametrize("wanted", ["3.99", "3.6.1"])
    def test_a_python_that_is_not_there(self, build: Build, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
        own = pythons.own()
        monkeypatch.setattr(pythons, "installed", lambda environment: [own])
        monkeypatch.setattr("mlflows.environments.requirements.OLDEST_PYTHON", (3, 6))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        wanted = wanted if wanted != "3.99" else "3.29"
        began = time.monotonic()
        message = self.failure(build, "six", python=wanted)
        assert time.monotonic() - began < 10
        assert f"python {wanted} is not on this machine and cannot be fetched. There are {'.'.join(map(str, own.version))}." in message
        assert "set_python_version('X.Y')" in message and "mlflows[conda]" in message

    def test_a_python_of_which_nothing_can_be_made(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = pythons.Python("/bin/false", tuple(sys.version_info[:3]))
        monkeypatch.setattr(pythons, "own", lambda: broken)
        assert f"no environment can be made of {broken.path}: " in self.failure(build, "six")

    def test_uv_that_is_not_there(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "uv", None)
        monkeypatch.setenv("PATH", "/nowhere")
        assert "uv, which makes environments, was not found. Install it: pip install uv." in self.failure(build, "six")

    def test_a_store_that_cannot_be_written(self, build: Build, store: Path) -> None:
        store.parent.mkdir(parents=True)
        store.mkdir()
        (store / digest(definition_of("six"), "venv")).write_text("in the way")
        with pytest.raises(EnvironmentBuildError, match="cannot be written.*Is there space"):
            build("six")

    def test_what_cannot_be_right_is_not_built(self, build: Build, store: Path) -> None:
        with pytest.raises(UserErrorException, match="two equal signs"):
            build("six=1.0")
        assert not store.exists()


class TestSecrets:
    def test_a_reference_in_an_index_url(self, build: Build, store: Path, tmp_path: Path) -> None:
        make_wheel(tmp_path / "wheels", "guarded", requires=["also-guarded"])
        make_wheel(tmp_path / "wheels", "also-guarded")
        secret, seen = f"{CANARY}/@:#", []
        gate = tmp_path / "gate"
        project = make_slow_project(tmp_path / "project", gate)
        with index(tmp_path / "wheels", secret) as served:
            lines = [f"--extra-index-url http://person:{{{{ prefect.blocks.secret.pw }}}}@{served.address}/simple", "guarded", str(project)]
            threading.Thread(
                target=lambda: (until(lambda: Path(f"{gate}.waiting").exists()), seen.extend(commands_with(CANARY)), gate.touch())
            ).start()
            made = build(*lines, resolve={"pw": secret}.__getitem__)
            assert any("also_guarded" in path for path in served.asked)
        assert made.run("import guarded, also_guarded; print(guarded.VERSION)") == "1.0"
        assert not seen and not files_with(store, CANARY) and CANARY not in made.output
        assert "prefect.blocks.secret.pw" in (store / made.built.digest / "definition.json").read_text()
        assert stat.S_IMODE((store / made.built.digest).stat().st_mode) == 0o700

    def test_a_reference_in_the_address_of_a_wheel(self, build: Build, store: Path, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path / "wheels", "guarded")
        with index(tmp_path / "wheels", CANARY) as served:
            made = build(
                f"guarded @ http://person:{{{{prefect.blocks.secret.pw}}}}@{served.address}/{wheel.name}", resolve=lambda name: CANARY
            )
        assert made.run("import guarded; print(guarded.VERSION)") == "1.0"
        assert not files_with(store, CANARY) and CANARY not in made.output

    def test_a_signature_in_the_address_of_a_wheel(
        self, build: Build, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As every address of a blob ends, encoded: the server gets it as it was written, neither package nor cache keeps it."""
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        wheel = make_wheel(tmp_path / "wheels", "signed")
        with index(tmp_path / "wheels") as served:
            made = build(f"signed @ http://{served.address}/{wheel.name}?sv=1&sig={CANARY}%2F1%3D")
            assert f"/{wheel.name}?sv=1&sig={CANARY}%2F1%3D" in served.asked
        assert made.run("import signed; print(signed.VERSION)") == "1.0"
        (noted,) = store.rglob("direct_url.json")
        assert json.loads(noted.read_text())["url"].endswith(f"/{wheel.name}?sv=1&sig=****")
        assert not files_with(store, CANARY) and not files_with(tmp_path / "cache", CANARY) and CANARY not in made.output

    def test_a_signature_by_reference(self, build: Build, store: Path, tmp_path: Path) -> None:
        wheel = make_wheel(tmp_path / "wheels", "signed")
        line = "signed @ http://{}/" + wheel.name + "?sig={{{{prefect.blocks.secret.sig}}}}"
        with index(tmp_path / "wheels") as served:
            made = build(line.format(served.address), resolve={"sig": f"{CANARY}+="}.__getitem__)
            assert f"/{wheel.name}?sig={CANARY}%2B%3D" in served.asked
        assert not files_with(store, CANARY) and CANARY not in made.output

    def test_an_encoded_password(self, build: Build, store: Path, tmp_path: Path) -> None:
        make_wheel(tmp_path / "wheels", "guarded")
        with index(tmp_path / "wheels", f"{CANARY}@ss%") as served:
            made = build(f"--index-url http://person:{CANARY}%40ss%25@{served.address}/simple", "guarded")
        assert made.run("import guarded; print(guarded.VERSION)") == "1.0"
        assert not files_with(store, CANARY) and CANARY not in made.output

    def test_a_literal_one(self, build: Build, store: Path, tmp_path: Path) -> None:
        make_wheel(tmp_path / "wheels", "guarded")
        with index(tmp_path / "wheels", CANARY) as served:
            made = build(f"--extra-index-url http://person:{CANARY}@{served.address}/simple", "guarded")
        assert made.run("import guarded; print(guarded.VERSION)") == "1.0"
        assert not files_with(store, CANARY) and CANARY not in made.output

    def test_a_wrong_one(self, build: Build, store: Path, tmp_path: Path) -> None:
        make_wheel(tmp_path / "wheels", "guarded")
        with index(tmp_path / "wheels", "right") as served, pytest.raises(EnvironmentBuildError) as caught:
            build(
                f"--index-url http://person:{{{{prefect.blocks.secret.pw}}}}@{served.address}/simple",
                "guarded",
                resolve=lambda name: CANARY,
            )
        assert "guarded" in caught.value.message and CANARY not in caught.value.message and not files_with(store, CANARY)

    def test_nobody_to_ask(self, build: Build) -> None:
        with pytest.raises(EnvironmentBuildError, match="nobody to ask for the Secret block 'pw'"):
            build("--index-url http://x:{{ prefect.blocks.secret.pw }}@127.0.0.1/simple", "six")


BUILDER = """
import sys, json
from mlflows.environments import builds
built = builds.ensure(json.loads(sys.argv[1]), write=lambda text: (sys.stdout.write(text), sys.stdout.flush()))
print("READY", built.interpreter)
"""


class TestTogether:
    """Several processes, and several wishes, for one environment."""

    @pytest.fixture
    def slow(self, store: Path, tmp_path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
        """A definition whose build goes on until its gate is there."""
        gate = tmp_path / "gate"
        yield definition_of(str(make_slow_project(tmp_path / "project", gate))), gate
        gate.touch()

    def builder(self, definition: dict[str, Any]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", BUILDER, json.dumps(definition)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))

    def installers(self, store: Path) -> list[str]:
        return [command for command in commands_with(f"{store}/") if " pip install " in command]

    def waiting(self, gate: Path) -> None:
        until(lambda: Path(f"{gate}.waiting").exists())

    def test_one_builds_and_the_others_wait_and_see(self, slow: tuple[dict[str, Any], Path]) -> None:
        definition, gate = slow
        builders = [self.builder(definition) for _ in range(5)]
        self.waiting(gate)
        time.sleep(0.5)
        gate.touch()
        outputs = [process.communicate(timeout=60)[0] for process in builders]
        assert all("READY" in output for output in outputs), outputs
        assert sum(output.startswith("Building the environment") for output in outputs) == 1
        waited = [output for output in outputs if output.startswith("Waiting: somebody else is building")]
        assert len(waited) == 4 and all("Installing" in output for output in waited)

    def test_a_killed_builder_is_followed_by_the_next(self, slow: tuple[dict[str, Any], Path], store: Path) -> None:
        definition, gate = slow
        first = self.builder(definition)
        self.waiting(gate)
        second = self.builder(definition)
        assert second.stdout is not None and second.stdout.readline().startswith("Waiting")
        left = store / digest(definition, "venv") / "left-by-the-first"
        left.touch()
        Path(f"{gate}.waiting").unlink()
        first.send_signal(signal.SIGKILL)
        first.wait()
        self.waiting(gate)  # the second builds: what the first had left running is gone
        assert not left.exists() and len(self.installers(store)) == 1
        gate.touch()
        assert "READY" in second.communicate(timeout=60)[0]

    def test_a_stopped_build_is_taken_over(self, slow: tuple[dict[str, Any], Path], store: Path) -> None:
        definition, gate = slow
        stop, ended = threading.Event(), []

        def wanted() -> None:
            with pytest.raises(BuildStopped):
                builds.ensure(definition, stopped=stop.is_set)
            ended.append(time.monotonic())

        thread = threading.Thread(target=wanted)
        thread.start()
        self.waiting(gate)
        other = self.builder(definition)
        assert other.stdout is not None and other.stdout.readline().startswith("Waiting")
        Path(f"{gate}.waiting").unlink()
        began = time.monotonic()
        stop.set()
        thread.join(10)
        assert ended and ended[0] - began < 1.5
        until(lambda: len(self.installers(store)) == 1, 5)
        self.waiting(gate)
        gate.touch()
        assert "READY" in other.communicate(timeout=60)[0]

    def test_who_waits_can_be_stopped(self, slow: tuple[dict[str, Any], Path]) -> None:
        definition, gate = slow
        first = self.builder(definition)
        self.waiting(gate)
        said: list[str] = []
        with pytest.raises(BuildStopped):
            builds.ensure(definition, write=said.append, stopped=lambda: len(said) > 0)
        gate.touch()
        assert "READY" in first.communicate(timeout=60)[0]

    def test_who_waits_is_told_of_the_failure_and_does_not_repeat_it(self, slow: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
        definition, gate = slow
        project = Path(definition["python"]["condaDependencies"]["dependencies"][-1]["pip"][0])
        backend = project / "backend.py"
        backend.write_text(backend.read_text().replace("    shutil.copy(", "    raise RuntimeError('broken for all')\n    shutil.copy("))
        builders = [self.builder(definition) for _ in range(3)]
        self.waiting(gate)
        time.sleep(0.5)
        gate.touch()
        outputs = [process.communicate(timeout=60)[0] for process in builders]
        assert all("broken for all" in output and "EnvironmentBuildError" in output for output in outputs), outputs
        assert sum(output.startswith("Building the environment") for output in outputs) == 1
        with pytest.raises(EnvironmentBuildError, match="broken for all"):  # who comes later tries again
            builds.ensure(definition, stopped=lambda: False)

    def test_a_python_that_has_gone_is_made_again(self, build: Build) -> None:
        made = build("six")
        made.built.interpreter.unlink()
        assert builds.known(made.built.digest) is None
        assert build("six").run("import six; print(1)") == "1"

    def test_half_an_environment_is_none(self, build: Build, store: Path) -> None:
        name = digest(definition_of("six"), "venv")
        (store / name / "venv" / "bin").mkdir(parents=True)
        (store / name / "venv" / "bin" / "python").symlink_to(sys.executable)
        assert builds.known(name) is None
        assert build("six").run("import six; print(1)") == "1"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("Using Python 3\nerror: No solution found\n  cause: Because a\n      and b.\n", "No solution found: Because a and b."),
        ("  × No solution found:\n  ╰─▶ Because a\n      and b\n", "No solution found: Because a and b."),
        ("something\nelse\n", "something else."),
    ],
)
def test_reasons(output: str, reason: str) -> None:
    assert venv.reason_of(output) == reason
