"""What the four programs share: the quickstart's training in a given environment. Written with Azure ML SDK v1's names only."""

import os

from azureml.core import Environment, Experiment, ScriptRunConfig, Workspace

HERE = os.path.dirname(os.path.abspath(__file__))


def train_with(environment: Environment) -> None:
    src = ScriptRunConfig(os.path.join(HERE, "..", "quickstart"), script="train.py", environment=environment)
    run = Experiment(Workspace.from_config(), "environments").submit(src)
    run.wait_for_completion(show_output=True)
    used = run.get_environment()
    print("Environment:", used.name, used.version)
    print("Status:", run.get_status())
