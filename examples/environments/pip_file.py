"""Packages from a requirements.txt."""

import os
import sys

from azureml.core import Environment
from train_with import HERE, train_with

env = Environment.from_pip_requirements("from-pip-file", os.path.join(HERE, "requirements.txt"))
env.python.conda_dependencies.set_python_version("{}.{}".format(*sys.version_info[:2]))  # else it is 3.8.13, as in SDK v1
train_with(env)
