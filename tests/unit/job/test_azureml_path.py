"""The import names of SDK v1, in real interpreters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mlflows

PACKAGE = Path(mlflows.__file__).parent
NAMES = PACKAGE / "azureml_path"

IN_JOB = """
from azureml.core import Run, Workspace, Experiment, Dataset, Model, Environment, ScriptRunConfig, VERSION
from azureml.core.run import Run as Same, _OfflineRun, _SubmittedRun
from azureml.exceptions import UserErrorException, ComputeTargetException
from mlflows import Run as Ours
import azureml.core
assert azureml.core.run.Run is Run
run = Run.get_context()
assert Run is Same is Ours and type(run) is _SubmittedRun and not isinstance(run, _OfflineRun)
run.log("loss", 0.5, step=1)
run.upload_file("outputs/me.py", __file__)
with run.child_run("kid") as kid:
    kid.log_row("r", a=1)
try:
    run.log("l", [1])
except UserErrorException as error:
    assert "log_list" in error.message and "log_list" in str(error)
print(run.experiment.name, run.id, VERSION, azureml.core.__version__)
"""


def test_in_a_job(any_job):
    any_job.python_script(IN_JOB, env={"MLFLOWS_EXPERIMENT": "exp"})
    status = any_job.status()
    assert status["state"] == "Completed", status["message"] + any_job.log()
    assert any_job.log() == "exp exp_1_abc 1.61.0 1.61.0\n"
    events = [json.loads(line)["e"] for line in (any_job.folder / "events" / "rank-0.jsonl").read_text().splitlines()]
    assert events == ["metric", "upload", "child", "row", "complete"]


def test_names_too_new_for_the_interpreter_can_be_imported_but_not_used(any_job):
    text = "from azureml.core import Environment\nprint('imported')\nEnvironment('a')\nEnvironment.get"
    any_job.python_script(text).status()
    assert any_job.log().startswith("imported\n")
    if any_job.python.endswith(("3.6", "3.8")):
        assert "Environment needs Python 3.10 or newer" in any_job.log()


def test_importing_costs_little(any_job):
    text = """
import sys
known = set(sys.modules)
from azureml.core import Run
Run.get_context().log("loss", 1)
print(" ".join(sorted(set(sys.modules) - known)))
"""
    any_job.python_script(text).status()
    imported = set(any_job.log().split())
    assert "mlflows.job.run" in imported
    assert not {"urllib", "ssl", "logging", "asyncio", "numpy", "mlflow", "subprocess", "typing", "inspect"} & imported


def imported(code, *paths):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (*paths, NAMES, PACKAGE.parent)))}
    return subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    "code, sentence",
    [
        ("from azureml.core import Webservice", "azureml.core.Webservice yet: serve the model"),
        ("from azureml.core.webservice import AciWebservice", "azureml.core.webservice yet: serve the model"),
        ("import azureml.train.hyperdrive", "azureml.train.hyperdrive yet: submit one run"),
        ("from azureml.train.automl import AutoMLConfig", "azureml.train.automl yet: train with a library"),
        ("from azureml.pipeline.core import Pipeline", "azureml.pipeline yet: write a Prefect flow"),
        ("import azureml.core\nazureml.core.Image", "azureml.core.Image yet"),
        ("from azureml.core.compute import AksCompute", "azureml.core.compute.AksCompute yet"),
    ],
)
def test_names_that_are_not_here_say_what_works(code, sentence):
    done = imported(code)
    assert done.returncode == 1
    assert "mlflows does not have " + sentence in done.stdout
    guarded = "try:\n    " + code.replace("\n", "\n    ") + "\nexcept ImportError:\n    print('caught')"
    assert imported(guarded).stdout == "caught\n"


def test_unknown_names_fail_as_usual():
    assert "cannot import name 'Nothing' from 'azureml.core'" in imported("from azureml.core import Nothing").stdout
    assert "No module named 'azureml.nothing'" in imported("import azureml.nothing").stdout
    assert imported("import azureml.core\nprint(hasattr(azureml.core, 'nothing'))").stdout == "False\n"


def test_a_genuine_package_beside_ours_goes_on_working(tmp_path):
    for name, text in {
        "azureml/__init__.py": "",
        "azureml/train/__init__.py": "",
        "azureml/train/automl.py": "AutoMLConfig = 'genuine'",
        "azureml/core/__init__.py": "Run = 'genuine'",
        "azureml/core/webservice.py": "Webservice = 'genuine'",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (NAMES, PACKAGE.parent, tmp_path)))}
    code = "from azureml.train.automl import AutoMLConfig as a\nfrom azureml.core.webservice import Webservice as w\nimport azureml.core\n"
    code += "print(a, w, azureml.core.VERSION)"
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "genuine genuine 1.61.0\n"


def test_every_name_leads_somewhere():
    """A name whose target is not there would only fail when a script uses it."""
    code = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
for path in sorted(root.glob("azureml/**/*.py")):
    name = ".".join(path.relative_to(root).with_suffix("").parts).replace(".__init__", "")
    module = importlib.import_module(name)
    for attribute, target in getattr(type(module), "_lazy_names", {}).items():
        try:
            getattr(module, attribute)
        except Exception as error:
            print(name, attribute, target, repr(error))
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (NAMES, PACKAGE.parent)))}
    assert subprocess.check_output([sys.executable, "-c", code, str(NAMES)], env=environment, text=True) == ""


def test_syntax_is_that_of_python_36():
    pytest.importorskip("vermin")
    paths = [PACKAGE / name for name in ("job", "azureml_path", "_lazy.py", "exceptions.py", "__init__.py")]
    command = [
        sys.executable,
        "-c",
        "import vermin; vermin.main()",
        "-t=3.6-",
        "--no-tips",
        "--violations",
        "--eval-annotations",
        *map(str, paths),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
