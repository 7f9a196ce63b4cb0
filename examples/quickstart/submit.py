"""Submit train.py and follow it. Written with Azure ML SDK v1's names only."""

import os

from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace

ws = Workspace.from_config()

env = Environment("quickstart")
env.python.user_managed_dependencies = True  # the interpreter this program runs with

src = ScriptRunConfig(
    source_directory=os.path.dirname(os.path.abspath(__file__)),
    script="train.py",
    arguments=["--alpha", 0.5],
    compute_target="local",
    environment=env,
)
run = Experiment(ws, "quickstart").submit(src, tags={"data": "diabetes"})
print("Run id:", run.id)
print("Link:", run.get_portal_url())

run.wait_for_completion(show_output=True)
for name, value in run.get_metrics().items():
    print(f"{name}: {value}")
print("Status:", run.get_status())
