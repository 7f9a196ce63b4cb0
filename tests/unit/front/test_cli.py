import json
import subprocess
import sys

import pytest

import mlflows
from mlflows.cli import main, parser

SUBMIT = """
import sys
from mlflows import Experiment, ScriptRunConfig, Workspace
ws = Workspace.get("team")
run = Experiment(ws, "iris").submit(ScriptRunConfig("src", script="train.py", arguments=sys.argv[1:]))
print("after submit")
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "train.py").write_text("print(1)")
    monkeypatch.chdir(folder)
    return folder


def call(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "mlflows", *arguments], capture_output=True, text=True, **options)


class TestHelp:
    def test_top_teaches(self, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["--help"])
        shown = capsys.readouterr().out
        assert ended.value.code == 0 and "mlflows run submit.py" in shown and "PREFECT_API_URL" in shown

    @pytest.mark.parametrize("command", ["run", "render", "up", "down", "status", "runs", "show", "logs", "cancel", "version"])
    def test_each_has_an_example(self, command, capsys):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and f"examples:\n  mlflows {command}" in capsys.readouterr().out

    @pytest.mark.parametrize("command", ["list", "show", "build", "render", "scaffold", "register", "download"])
    def test_each_of_env_has_an_example(self, command, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["env", command, "--help"])
        assert ended.value.code == 0 and f"examples:\n  mlflows env {command}" in capsys.readouterr().out

    def test_nothing_else_is_imported(self):
        code = "import sys; from mlflows.cli import parser; parser(); print([m for m in sys.modules if m.startswith('mlflows')])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "mlflows.workspace" not in done.stdout

    def test_version(self, capsys):
        assert main(["version"]) == 0 and capsys.readouterr().out == mlflows.__version__ + "\n"


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["fly"],
            ["show"],
            ["logs"],
            ["cancel"],
            ["run"],
            ["render"],
            ["runs", "-n", "0"],
            ["runs", "-n", "x"],
            ["up", "x"],
            ["status", "--yaml"],
            ["env"],
            ["env", "fly"],
            ["env", "build"],
            ["env", "build", "-n", "a", "-d", "b"],
            ["env", "show"],
            ["env", "download", "-n", "a"],
            ["env", "scaffold", "-d", "a"],
            ["env", "register", "-n", "a"],
        ],
    )
    def test_wrong_is_2(self, arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2

    def test_nothing_is_2_and_helps(self, capsys):
        assert main([]) == 2 and "mlflows run submit.py" in capsys.readouterr().err

    def test_follow_as_json_is_2(self, capsys):
        assert main(["logs", "-f", "--json", "x"]) == 2 and "cannot be combined" in capsys.readouterr().err

    def test_arguments_of_the_program_are_its_own(self):
        options = parser().parse_args(["run", "submit.py", "--json", "-h", "x"])
        assert (options.program, options.arguments) == ("submit.py", ["--json", "-h", "x"])


class TestErrors:
    def test_one_line_and_1(self, capsys):
        assert main(["run", "missing.py"]) == 1
        assert (
            capsys.readouterr().err
            == "mlflows: error: There is no program 'missing.py'. Give the path of a Python file, such as submit.py.\n"
        )

    def test_debug_shows_the_traceback(self, capsys):
        assert main(["run", "--debug", "missing.py"]) == 1 and "Traceback" in capsys.readouterr().err

    def test_a_status_that_is_none(self, capsys):
        assert main(["runs", "--status", "Sleeping"]) == 1 and "--status: 'Sleeping' is not one of NotStarted" in capsys.readouterr().err


class TestRun:
    def test_everything_is_the_programs_own(self, project):
        (project / "tools").mkdir()
        (project / "tools" / "helper.py").write_text("NAME = 'beside'")
        (project / "tools" / "submit.py").write_text(
            "import json, os, sys, helper\n"
            "print(json.dumps([sys.argv, os.getcwd(), sys.path[0], __name__, helper.NAME]))\n"
            "print('to stderr', file=sys.stderr)\nsys.exit(7)\n"
        )
        done = call("run", "tools/submit.py", "--a", "b c", "-h")
        assert done.returncode == 7 and done.stderr == "to stderr\n"
        expected = [["tools/submit.py", "--a", "b c", "-h"], str(project), str(project / "tools"), "__main__", "beside"]
        assert json.loads(done.stdout) == expected

    def test_a_traceback_as_without_us(self, project):
        (project / "submit.py").write_text("def f():\n    raise ValueError('x')\nf()\n")
        plain = subprocess.run([sys.executable, "submit.py"], capture_output=True, text=True)
        done = call("run", "submit.py")
        assert (done.returncode, done.stderr) == (plain.returncode, plain.stderr)

    def test_import_names_here_and_in_subprocesses(self, project):
        look = "import importlib.util as u; print(u.find_spec('azureml').submodule_search_locations[0] if u.find_spec('azureml') else None)"
        (project / "submit.py").write_text(f"import subprocess, sys\n{look}\nsubprocess.run([sys.executable, '-c', {look!r}])\n")
        done = call("run", "submit.py")
        assert [line.endswith("mlflows/azureml_path/azureml") for line in done.stdout.splitlines()] == [True, True], done

    def test_a_pythonpath_of_ones_own_stays(self, project, monkeypatch):
        (project / "mine").mkdir()
        (project / "mine" / "special.py").write_text("X = 1")
        (project / "submit.py").write_text("import special; print(special.X)")
        monkeypatch.setenv("PYTHONPATH", str(project / "mine"))
        assert call("run", "submit.py").stdout == "1\n"


class TestRender:
    def test_the_process_of_the_first_submit(self, project):
        (project / "submit.py").write_text(SUBMIT)
        done = call("render", "submit.py", "--lr", "0.1")
        assert done.returncode == 0 and done.stderr == "", done
        shown = json.loads(done.stdout)
        assert shown["job"]["argv"][1:] == ["train.py", "--lr", "0.1"]
        assert not (project.parent / "home" / "services").exists() and not (project.parent / "home" / "runs").exists()

    def test_a_program_that_submits_nothing(self, project):
        (project / "submit.py").write_text("print('hello')")
        done = call("render", "submit.py")
        assert done.returncode == 1 and done.stderr == "mlflows: error: submit.py ended without submitting a run.\n"

    def test_a_mistake(self, project):
        (project / "submit.py").write_text(SUBMIT.replace("train.py", "trian.py"))
        done = call("render", "submit.py")
        assert done.returncode == 1 and "mlflows: error: script: 'trian.py' does not exist" in done.stderr


def test_status_of_nothing(capsys):
    assert main(["status", "--json"]) == 0
    assert {name: each["running"] for name, each in json.loads(capsys.readouterr().out).items()} == {
        "prefect": False,
        "mlflow": False,
        "runner": False,
    }
    assert main(["status"]) == 0 and "prefect  stopped" in capsys.readouterr().out


def test_down_of_nothing(capsys):
    assert main(["down"]) == 0 and "Nothing was running" in capsys.readouterr().err
