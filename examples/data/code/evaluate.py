"""Reads what the run before has written."""

import argparse
import os

import pandas as pd
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--predictions", help="folder with predicted.csv")
args = parser.parse_args()

table = pd.read_csv(os.path.join(args.predictions, "predicted.csv"))
accuracy = float((table["label"] == table["predicted"]).mean())
Run.get_context().log("accuracy", accuracy)
print(f"{len(table)} predictions, accuracy {accuracy:.3f}")
