"""``S3FileSystem.get`` and ``put``: what Python programs mostly use, pandas among them."""

from __future__ import annotations

from pathlib import Path

NAME = "s3fs.get"
PACKAGE = "s3fs"
REQUIREMENTS = ["s3fs>=2025"]

COPY = "import sys; from s3fs import S3FileSystem; getattr(S3FileSystem(), sys.argv[1])(sys.argv[2], sys.argv[3], recursive=True)"


def download(python: Path, bucket: str, prefix: str, folder: Path) -> list[str]:
    """All below a prefix into a folder of its name."""
    return [str(python), "-c", COPY, "get", f"{bucket}/{prefix}/", f"{folder / prefix}/"]


def upload(python: Path, folder: Path, bucket: str, prefix: str) -> list[str]:
    """All below a folder."""
    return [str(python), "-c", COPY, "put", f"{folder}/", f"{bucket}/{prefix}/"]
