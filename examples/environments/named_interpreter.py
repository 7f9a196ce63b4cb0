"""A python of yours, by its path: python named_interpreter.py /path/to/python"""

import sys

from azureml.core import Environment
from train_with import train_with

env = Environment("named-interpreter")
env.python.user_managed_dependencies = True
env.python.interpreter_path = sys.argv[1]
train_with(env)
