"""The python that this program runs with, and what is installed there."""

from azureml.core import Environment
from train_with import train_with

env = Environment("user-managed")
env.python.user_managed_dependencies = True
train_with(env)
