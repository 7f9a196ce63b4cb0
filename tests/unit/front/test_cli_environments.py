"""`mlflows env` on folders: what needs no server, no engine and no package index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlflows.cli import main
from mlflows.cli.environments import _packages_here as packages_here
from mlflows.environments import builds
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.digest import digest
from mlflows.environments.environment import Environment
from tests.support.wheels import make_wheel

CANARY = "canary-5d1e"
PYTHON = "{}.{}".format(*sys.version_info[:2])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def save(folder: str, *pip: str, python: str = PYTHON, conda: tuple[str, ...] = (), **docker: object) -> Environment:
    environment = Environment("mine")
    dependencies = CondaDependencies.create(python_version=python, conda_packages=conda)
    dependencies.set_pip_requirements(pip)
    environment.python.conda_dependencies = dependencies
    for name, value in docker.items():
        setattr(environment.docker, name, value)
    environment.save_to_directory(folder, overwrite=True)
    return environment


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    assert main(arguments) == code
    shown = capsys.readouterr().err
    assert shown.startswith("mlflows: error: ") and shown.count("\n") == 1
    return shown.removeprefix("mlflows: error: ").strip()


class TestScaffold:
    def test_what_it_writes_is_an_environment(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["env", "scaffold", "-n", "my training", "-d", "new/env"]) == 0
        assert capsys.readouterr().out == "my training: wrote azureml_environment.json, conda_dependencies.yml to new/env\n"
        made = Environment.load_from_directory("new/env")
        assert (made.name, made.version, made.environment_variables) == ("my training", None, {})
        assert made.python.conda_dependencies is not None
        assert made.python.conda_dependencies.get_python_version() == PYTHON
        assert list(made.python.conda_dependencies.pip_packages) == ["scikit-learn"]

    def test_with_a_dockerfile(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["env", "scaffold", "-n", "x", "-d", "env", "--docker"]) == 0
        assert "BaseDockerfile" in capsys.readouterr().out
        made = Environment.load_from_directory("env")
        assert made.docker.base_image is None and f"FROM python:{PYTHON}-slim" in str(made.docker.base_dockerfile)
        assert error_of(["env", "build", "-d", "env"], capsys) == (
            "environment 'x': docker.base_dockerfile is set, so it is an image. Give --docker."
        )

    def test_replaces_nothing_unasked(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "env").mkdir()
        (project / "env" / "conda_dependencies.yml").write_text("mine")
        assert "'env' has conda_dependencies.yml already. Give --overwrite" in error_of(["env", "scaffold", "-n", "x", "-d", "env"], capsys)
        assert (project / "env" / "conda_dependencies.yml").read_text() == "mine"
        assert main(["env", "scaffold", "-n", "x", "-d", "env", "--overwrite"]) == 0
        assert "scikit-learn" in (project / "env" / "conda_dependencies.yml").read_text()

    def test_other_files_are_nobodys_concern(self, project: Path) -> None:
        (project / "train.py").write_text("print(1)")
        assert main(["env", "scaffold", "-n", "x", "-d", "."]) == 0
        assert (project / "train.py").read_text() == "print(1)"

    def test_reserved_name(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "--name: 'AzureML-mine' begins as only curated" in error_of(["env", "scaffold", "-n", "AzureML-mine", "-d", "env"], capsys)
        assert not (project / "env" / "azureml_environment.json").exists()

    def test_a_folder_that_cannot_be(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "file").write_text("")
        assert "--directory: 'file/env' cannot be made" in error_of(["env", "scaffold", "-n", "x", "-d", "file/env"], capsys)


class TestFolders:
    """Every command that reads one."""

    @pytest.mark.parametrize("command", ["build", "render", "register"])
    @pytest.mark.parametrize(("folder", "problem"), [("nowhere", "there is no such folder"), (".", "there is no azureml_environment.json")])
    def test_that_is_none(self, command: str, folder: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
        shown = error_of(["env", command, "-d", folder], capsys)
        assert shown.startswith(f"--directory: '{folder}': {problem}") and "mlflows env scaffold -n NAME" in shown

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("{", "is not JSON: "),
            ("[1]", "is not an environment: expected an object"),
            ('{"python": 3}', "PythonSection: expected a mapping"),
        ],
    )
    def test_a_bad_definition(self, text: str, problem: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (project / "azureml_environment.json").write_text(text)
        assert problem in error_of(["env", "build", "-d", "."], capsys)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("dependencies: [a: b: c", "conda_dependencies.yml"),
            ("packages: [x]", "unknown keys ['packages']"),
            ("- x", "conda_dependencies.yml"),
        ],
    )
    def test_a_bad_conda_file(self, text: str, problem: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        save(".", "six")
        (project / "conda_dependencies.yml").write_text(text)
        assert problem in error_of(["env", "build", "-d", "."], capsys)

    @pytest.mark.parametrize("command", ["build", "render", "register"])
    def test_a_bad_requirement(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "six=1.17")
        assert "pip requirement 'six=1.17' is not valid" in error_of(["env", command, "-d", "env"], capsys)

    @pytest.mark.parametrize("command", ["build", "render"])
    def test_a_version_belongs_to_a_name(self, command: str, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "six")
        assert "--version belongs to --name" in error_of(["env", command, "-d", "env", "-v", "1"], capsys, code=2)


class TestBuild:
    def test_with_progress_and_a_last_line(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        make_wheel(project / "env", "cli-lib")
        save("env", "--no-index", "./cli_lib-1.0-py3-none-any.whl")
        assert main(["env", "build", "-d", "env"]) == 0
        first, *_, last = capsys.readouterr().out.splitlines()
        assert first.startswith("Building the environment ")
        python = last.rpartition(": ")[2]
        assert last.startswith("mine: ready after ")
        assert subprocess.run([python, "-c", "import cli_lib; print(cli_lib.VERSION)"], capture_output=True, text=True).stdout == "1.0\n"

        assert main(["env", "build", "-d", "env", "--json"]) == 0
        shown = capsys.readouterr()
        again = json.loads(shown.out)
        assert (again["python"], again["name"], shown.err) == (python, "mine", "") and again["seconds"] < 1
        assert Path(again["log"]).read_text().startswith("Building the environment ")

    def test_as_json_the_progress_is_beside_it(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "--no-index", str(make_wheel(project, "cli-lib")))
        assert main(["env", "build", "-d", "env", "--json"]) == 0
        shown = capsys.readouterr()
        assert set(json.loads(shown.out)) == {"name", "version", "python", "digest", "log", "seconds"}
        assert shown.err.startswith("Building the environment ")

    def test_that_fails(self, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "--no-index", "surely-not-there==1.0")
        assert main(["env", "build", "-d", "env"]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("mlflows: error: the requirement surely-not-there==1.0 cannot be installed") and "build.log" in last

    def test_nothing_to_build(self, capsys: pytest.CaptureFixture[str]) -> None:
        environment = save("env")
        assert main(["env", "build", "-d", "env"]) == 0
        assert f": {sys.executable}: there is nothing to build\n" in capsys.readouterr().out
        environment.python.user_managed_dependencies = True
        environment.python.interpreter_path = "/no/such/python"
        environment.save_to_directory("env", overwrite=True)
        assert "interpreter_path: '/no/such/python': there is no such file" in error_of(["env", "build", "-d", "env"], capsys)

    def test_no_engine(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "six")
        monkeypatch.setenv("PATH", "/nowhere")
        assert "There is no 'docker' command on PATH" in error_of(["env", "build", "-d", "env", "--docker"], capsys)


class TestRender:
    def test_the_steps_make_the_environment(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        make_wheel(project / "env", "cli-lib")
        save("env", "--no-index", "./cli_lib-1.0-py3-none-any.whl", "azureml-defaults")
        assert main(["env", "render", "-d", "env"]) == 0
        script = capsys.readouterr().out
        assert "azureml" not in script and not builds.store().exists()
        subprocess.run(["bash", "-euc", script], check=True, capture_output=True)
        [made] = builds.store().glob("*/venv/bin/python")
        shown = subprocess.run([made, "-c", "import cli_lib; print(cli_lib.VERSION)"], capture_output=True, text=True)
        assert shown.stdout == "1.0\n" and list(made.parent.parent.glob("lib/*/site-packages/mlflows_job.pth"))

    def test_as_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        environment = save("env", "six==1.17.0", "--pre")
        assert main(["env", "render", "-d", "env", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["python"] == str(builds.folder_of(digest(environment._serialize_to_dict(), "venv")) / "venv" / "bin" / "python")
        make, install, *_ = shown["steps"]
        assert make["command"][1] == "venv" and make["notes"][0].startswith("Python 3.")
        assert [step["may_fail"] for step in shown["steps"]] == [False, False, True, False]
        assert install["told"] == "six==1.17.0\n" and "--prerelease=allow" in install["command"]

    def test_conda_packages(self, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "six", conda=("xz",))
        assert main(["env", "render", "-d", "env"]) == 0
        shown = capsys.readouterr().out
        assert f'"python={PYTHON}", "xz"' in " ".join(shown.split()) and "# Solving python=" in shown and "/prefix/bin/python" in shown

    @pytest.mark.parametrize("more", [[], ["--docker"]], ids=["packages", "image"])
    def test_no_secret_is_shown(self, more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"https://me:{CANARY}1@pip.example/simple")
        reference = "https://me:{{ prefect.blocks.secret.index-password }}@pip.example/other"
        save("env", f"--index-url https://me:{CANARY}2@pip.example/simple", f"--extra-index-url {reference}", "six")
        for form in ([], ["--json"]):
            assert main(["env", "render", "-d", "env", *form, *more]) == 0
            shown = "".join(capsys.readouterr())
            assert CANARY not in shown
            assert more or "{{ prefect.blocks.secret.index-password }}@pip.example/other" in shown

    def test_nothing_to_build(self, capsys: pytest.CaptureFixture[str]) -> None:
        save("env")
        assert main(["env", "render", "-d", "env"]) == 0
        assert capsys.readouterr().out == f"# mine: nothing is built, runs of it use {sys.executable}\n"

    def test_an_image(self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("PATH", "/nowhere")  # no engine: what a build with BuildKit would be
        wheel = make_wheel(project, "cli-lib")
        save("env", str(wheel), "six", base_dockerfile="FROM python:3.12-slim\nRUN true\n")
        assert main(["env", "render", "-d", "env", "--docker"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("FROM python:3.12-slim\nRUN true\n") and "--mount=type=cache" in shown
        assert "==> .mlflows/requirements.txt <==\n" in shown and f"{wheel.name} <== a copy of {wheel}" in shown

        assert main(["env", "render", "-d", "env", "--docker", "-o", "context"]) == 0
        assert sorted(os.listdir("context")) == [".mlflows", "Dockerfile"]
        assert (project / "context" / "Dockerfile").read_text() == shown.partition("\n==> ")[0]
        [copied] = (project / "context" / ".mlflows" / "files").glob("*/*.whl")
        assert copied.read_bytes() == wheel.read_bytes()

        capsys.readouterr()
        assert main(["env", "render", "-d", "env", "--docker", "--json"]) == 0
        rendered = json.loads(capsys.readouterr().out)
        assert rendered["dockerfile"].startswith("FROM ") and {"copied_from": str(wheel)} in rendered["files"].values()

    def test_an_image_that_is_used_as_it_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        Environment.from_docker_image("theirs", "registry.example/team/image:7").save_to_directory("env")
        assert main(["env", "render", "-d", "env", "--docker"]) == 0
        assert capsys.readouterr().out == "# theirs: nothing is built, the image registry.example/team/image:7 is used as it is\n"

    def test_a_context_is_an_images(self, capsys: pytest.CaptureFixture[str]) -> None:
        save("env", "six")
        assert "--output is the build context of an image" in error_of(["env", "render", "-d", "env", "-o", "context"], capsys, code=2)


class TestCurated:
    """They need no server."""

    def test_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["env", "show", "-n", "AzureML-sklearn-1.5"]) == 0
        shown = capsys.readouterr().out
        assert "Pip:        scikit-learn~=1.5" in shown and "Version:    1\n" in shown

    def test_an_unknown_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        shown = error_of(["env", "show", "-n", "AzureML-Cobol"], capsys)
        assert shown.startswith("--name: There is no curated environment 'AzureML-Cobol'. There are: AzureML-Minimal")

    def test_downloaded(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["env", "download", "-n", "AzureML-sklearn-1.5", "-d", "mine"]) == 0
        assert Environment.load_from_directory("mine").name == "AzureML-sklearn-1.5"
        (project / "mine" / "BaseDockerfile").write_text("FROM scratch\n")
        assert "has azureml_environment.json, conda_dependencies.yml, BaseDockerfile already" in error_of(
            ["env", "download", "-n", "AzureML-Minimal", "-d", "mine"], capsys
        )
        assert main(["env", "download", "-n", "AzureML-Minimal", "-d", "mine", "--overwrite"]) == 0
        again = Environment.load_from_directory("mine")
        assert again.name == "AzureML-Minimal" and again.docker.base_dockerfile is None


def test_a_file_that_cannot_be_read_is_no_reason_to_list_nothing(project: Path) -> None:
    """Whether packages are there is then not known; a build says what is wrong."""
    wheel = project / "unreadable-1.0-py3-none-any.whl"
    wheel.symlink_to("/proc/self/mem")  # for root, too
    environment = Environment("e")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=[str(wheel)])
    assert packages_here(environment._serialize_to_dict()) is None
