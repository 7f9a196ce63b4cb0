"""Run train.py with an interpreter of your own: python submit.py /path/to/python"""

import os
import sys

from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace

env = Environment("my-interpreter")
env.python.user_managed_dependencies = True
env.python.interpreter_path = sys.argv[1] if len(sys.argv) > 1 else sys.executable

src = ScriptRunConfig(os.path.dirname(os.path.abspath(__file__)), script="train.py", environment=env)
run = Experiment(Workspace.from_config(), "interpreter").submit(src)
run.wait_for_completion(show_output=True)
print("Status:", run.get_status())
