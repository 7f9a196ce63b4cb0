"""Curated environments: each can be installed today, and a former name runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Services
from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.environments import curated
from mlflows.environments.environment import Environment
from mlflows.experiment import Experiment
from mlflows.workspace import Workspace

SCRIPT = """
import sys
import matplotlib, numpy, pandas, psutil, scipy, tqdm
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
x, y = load_iris(return_X_y=True, as_frame=True)
print(f"python 3.{sys.version_info[1]}, score {LogisticRegression(max_iter=500).fit(x, y).score(x, y):.2f}")
"""


@pytest.mark.parametrize("name", curated.names())
def test_all_of_it_is_to_be_had(name: str, tmp_path: Path) -> None:
    """By wheels for the python it asks for; only descriptions are fetched, not the packages."""
    dependencies = Environment.get(Workspace.get("curated"), name).python.conda_dependencies
    assert dependencies is not None
    wanted = [package for package in dependencies.pip_packages if not package.startswith("azureml-")]
    (tmp_path / "requirements.in").write_text("\n".join(wanted))
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--only-binary", ":all:"]
    command += ["--python-version", str(dependencies.get_python_version()), "--python-platform", "x86_64-manylinux_2_28", "requirements.in"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "VIRTUAL_ENV": ""}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


def test_a_former_name_runs(services: Services, tmp_path: Path) -> None:
    ws = Workspace.get("curated")
    (tmp_path / "train.py").write_text(SCRIPT)
    environment = Environment.get(ws, "AzureML-sklearn-0.24-ubuntu18.04-py37-cpu")
    run = Experiment(ws, "curated").submit(ScriptRunConfig(tmp_path, script="train.py", environment=environment))
    run.wait_for_completion()
    assert "python 3.11, score 0.9" in run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]
    assert (run.get_environment().name, run.get_environment().version) == (environment.name, "1")
