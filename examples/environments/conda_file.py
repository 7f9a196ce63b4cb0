"""Packages from a conda file."""

import os

from azureml.core import Environment
from train_with import HERE, train_with

train_with(Environment.from_conda_specification("from-conda-file", os.path.join(HERE, "environment.yml")))
