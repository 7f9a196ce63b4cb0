"""Puts the data of this example where a team would have them: a bucket for the images, a table of labels, both registered.

The bucket's address and keys come from the environment: S3_ENDPOINT (none: AWS), S3_BUCKET, S3_KEY_ID, S3_SECRET_KEY.
"""

import csv
import os
import tempfile

import numpy as np
from azureml.core import Dataset, Datastore, Workspace
from sklearn.datasets import load_digits

ws = Workspace.from_config()
bucket = Datastore.register_s3(
    ws,
    "digits_bucket",
    os.environ["S3_BUCKET"],
    endpoint=os.environ.get("S3_ENDPOINT"),
    access_key_id=os.environ["S3_KEY_ID"],
    secret_access_key=os.environ["S3_SECRET_KEY"],
    overwrite=True,
)

with tempfile.TemporaryDirectory() as folder:
    digits = load_digits()
    os.makedirs(os.path.join(folder, "images"))
    with open(os.path.join(folder, "labels.csv"), "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label"])
        for number, (image, label) in enumerate(zip(digits.images[:600], digits.target[:600], strict=True)):
            name = f"{number:04}.pgm"
            np.savetxt(os.path.join(folder, "images", name), image, fmt="%d", header="P2\n8 8\n16", comments="")
            table.writerow([name, label])

    bucket.upload(os.path.join(folder, "images"), target_path="digits/images", overwrite=True, show_progress=False)
    labels_at = ws.get_default_datastore()
    labels_at.upload_files([os.path.join(folder, "labels.csv")], target_path="digits", overwrite=True, show_progress=False)

images = Dataset.File.from_files((bucket, "digits/images/*.pgm"))
images.register(ws, "digit_images", description="Images of digits, 8 x 8", create_new_version=True)
labels = Dataset.Tabular.from_delimited_files((labels_at, "digits/labels.csv"))
labels.register(ws, "digit_labels", description="Which digit each image shows", create_new_version=True)
for name in ("digit_images", "digit_labels"):
    print(f"{name}: version {ws.datasets[name].version}")
