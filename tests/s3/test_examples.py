"""examples/data: registered data in, results out, read by the next run; on a real MinIO, as its README says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT, Services
from tests.support.documents import blocks
from tests.support.s3 import S3Server

README = ROOT / "examples" / "data" / "README.md"
FIRST = "export S3_ENDPOINT=http://127.0.0.1:9000 S3_BUCKET=mlflows S3_KEY_ID=... S3_SECRET_KEY=..."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def test_data_example(folder: Path, services: Services, s3_server: S3Server) -> None:
    [text] = [block.text for block in blocks(README) if block.text.startswith(FIRST)]
    bucket = s3_server.make_bucket("digits")
    with (folder / "examples/data/code/train.py").open("a") as script:
        script.write("\nimport os\nprint('Of S3:', [name for name in os.environ if name.startswith('S3_')])\n")
    done = bash(text.replace(FIRST, ""), folder, s3_server, bucket)
    assert "digit_images: version 1" in done and "600 labels, 600 images" in done, done
    assert "300 predictions written" in done and "Accuracy: 0." in done and done.endswith("Status: Completed\n"), done
    assert "Of S3: ['S3_" in done and "S3_SECRET_KEY" not in done, done
    predictions = s3_server.objects(bucket, "predictions/")
    assert [key.rsplit("/", 1)[1] for key in predictions] == ["predicted.csv"]

    again = bash("unset S3_SECRET_KEY\nmlflows run examples/data/submit.py", folder, s3_server, bucket)
    assert again.endswith("Status: Completed\n"), again
    assert len(s3_server.objects(bucket, "predictions/")) == 2
    assert s3_server.secret_access_key not in done + again


def bash(text: str, folder: Path, server: S3Server, bucket: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "S3_ENDPOINT": server.endpoint,
            "S3_BUCKET": bucket,
            "S3_KEY_ID": server.access_key_id,
            "S3_SECRET_KEY": server.secret_access_key,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
