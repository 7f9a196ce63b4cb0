"""Train on registered data, then let a second run read what the first has written. Written with Azure ML SDK v1's names only."""

import os

from azureml.core import Dataset, Environment, Experiment, ScriptRunConfig, Workspace
from azureml.data import OutputFileDatasetConfig

ws = Workspace.from_config()
env = Environment("data-example")
env.python.user_managed_dependencies = True  # the interpreter this program runs with

labels = Dataset.get_by_name(ws, "digit_labels")
images = Dataset.get_by_name(ws, "digit_images")
predictions = OutputFileDatasetConfig("predictions", destination=(ws.datastores["digits_bucket"], "predictions/{run-id}"))

train = ScriptRunConfig(
    source_directory=os.path.join(os.path.dirname(os.path.abspath(__file__)), "code"),
    script="train.py",
    arguments=[
        "--labels", labels.as_named_input("labels"),
        "--images", images.as_named_input("images").as_mount(),
        "--predictions", predictions.as_upload().register_on_complete("digit_predictions"),
    ],
    environment=env,
)  # fmt: skip
first = Experiment(ws, "digits").submit(train)
first.wait_for_completion(show_output=True)

evaluate = ScriptRunConfig(
    source_directory=train.source_directory,
    script="evaluate.py",
    arguments=["--predictions", Dataset.get_by_name(ws, "digit_predictions").as_named_input("predictions").as_download()],
    environment=env,
)
second = Experiment(ws, "digits").submit(evaluate)
second.wait_for_completion(show_output=True)
print("Accuracy:", second.get_metrics()["accuracy"])
print("Status:", second.get_status())
