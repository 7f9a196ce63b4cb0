"""What is shown of an environment, by `mlflows env show` and in notebooks."""

from __future__ import annotations

from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import Environment
from mlflows.environments.summary import summary

CANARY = "canary-90bb"


def test_packages() -> None:
    environment = Environment("training")
    environment.environment_variables = {"API_TOKEN": CANARY, "LEVEL": "3"}
    dependencies = CondaDependencies.create(python_version="3.11", conda_packages=["xz=5"])
    dependencies.set_pip_requirements(["azureml-defaults", f"--extra-index-url https://me:{CANARY}@pip.example/simple", "six"])
    environment.python.conda_dependencies = dependencies
    environment.docker.base_image = "python:3.11"
    assert summary(environment._serialize_to_dict()) == {
        "Name": "training",
        "Python": "3.11",
        "Conda": "python=3.11\nxz=5",
        "Channels": "anaconda, conda-forge",
        "Pip": "--extra-index-url https://me:****@pip.example/simple\nsix",
        "Left out": "azureml-defaults",
        "Image": "python:3.11",
        "Variables": "API_TOKEN=****\nLEVEL=3",
    }


def test_a_python_of_ones_own() -> None:
    environment = Environment("mine")
    environment.environment_variables = {}
    environment.python.user_managed_dependencies = True
    environment.python.interpreter_path = "/opt/python"
    environment.docker.base_dockerfile = "FROM x\nRUN y\n"
    assert summary(environment._serialize_to_dict()) == {
        "Name": "mine",
        "Python": "/opt/python, looked after by its user",
        "Image": "FROM x\nRUN y\n",
    }


def test_in_a_notebook() -> None:
    environment = Environment("<b>")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=["a<2"], pip_indexurl=f"https://me:{CANARY}@x/simple")
    html = environment._repr_html_()
    assert "<pre>&lt;b&gt;</pre>" in html and "a&lt;2" in html and CANARY not in html
