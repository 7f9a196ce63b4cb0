"""Ridge regression on scikit-learn's diabetes data: one point of each metric per alpha, the best model kept."""

import argparse
import os
import pickle

import numpy as np
from azureml.core import Run
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=0.5, help="largest regularisation strength tried")
parser.add_argument("--steps", type=int, default=10, help="how many strengths are tried")
args = parser.parse_args()

run = Run.get_context()
features, target = load_diabetes(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(features, target, test_size=0.2, random_state=0)
print(f"{len(x_train)} rows to train on, {len(x_test)} to test on", flush=True)

best = None
for alpha in np.linspace(args.alpha / args.steps, args.alpha, args.steps):
    model = Ridge(alpha=alpha).fit(x_train, y_train)
    predicted = model.predict(x_test)
    mse = mean_squared_error(y_test, predicted)
    run.log("alpha", float(alpha))
    run.log("mse", float(mse))
    run.log("r2", float(r2_score(y_test, predicted)))
    print(f"alpha {alpha:.2f}  mse {mse:.1f}", flush=True)
    if best is None or mse < best[0]:
        best = (mse, float(alpha), model)

run.log("best_mse", float(best[0]))
run.tag("best_alpha", f"{best[1]:.2f}")
os.makedirs("outputs", exist_ok=True)
with open("outputs/model.pkl", "wb") as file:
    pickle.dump(best[2], file)
print(f"best: alpha {best[1]:.2f}, mse {best[0]:.1f}; model in outputs/model.pkl")
