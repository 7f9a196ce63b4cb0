"""Reads a table by its dataset and images from a folder; writes its predictions into another."""

import argparse
import os

import numpy as np
from azureml.core import Dataset, Run
from sklearn.linear_model import LogisticRegression

parser = argparse.ArgumentParser()
parser.add_argument("--labels", help="id of the table with the labels")
parser.add_argument("--images", help="folder with the images")
parser.add_argument("--predictions", help="folder for what is predicted")
args = parser.parse_args()

run = Run.get_context()
table = Dataset.get_by_id(run.experiment.workspace, args.labels).to_pandas_dataframe()
assert table.equals(run.input_datasets["labels"].to_pandas_dataframe())
images = np.array([np.loadtxt(os.path.join(args.images, name), skiprows=3).ravel() for name in table["image"]])
print(f"{len(table)} labels, {len(os.listdir(args.images))} images", flush=True)

half = len(table) // 2
model = LogisticRegression(max_iter=2000).fit(images[:half], table["label"][:half])
run.log("training_accuracy", float(model.score(images[:half], table["label"][:half])))

predicted = table[half:].assign(predicted=model.predict(images[half:]))
os.makedirs(args.predictions, exist_ok=True)
predicted.to_csv(os.path.join(args.predictions, "predicted.csv"), index=False)
print(f"{len(predicted)} predictions written", flush=True)
