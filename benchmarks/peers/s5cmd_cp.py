"""``s5cmd cp``: many objects, and ranges of large ones, at once. Written in Go, and built here from its published module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import scratch

NAME = "s5cmd cp"
MODULE = "github.com/peak/s5cmd/v2"
VERSION = "v2.3.0"

_GO = "/usr/local/go/bin/go"
_MODULE_FILE = f"module bench\n\ngo 1.21\n\nrequire {MODULE} {VERSION}\n"


def find_go() -> str | None:
    """The Go command."""
    return shutil.which("go") or (_GO if os.access(_GO, os.X_OK) else None)


def program(go: str) -> Path:
    """The program; built if it is not there. In a module that requires it, for ``go install`` would ask for a list of its versions."""
    folder = scratch.folder() / f"s5cmd-{VERSION}"
    path = folder / "s5cmd"
    if not path.exists():
        print(f"building {MODULE} {VERSION}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go.mod").write_text(_MODULE_FILE)
        build = [go, "build", "-mod=mod", "-trimpath", "-ldflags", "-s -w", "-o", "s5cmd.new", MODULE]
        subprocess.run(build, cwd=folder, check=True)
        (folder / "s5cmd.new").rename(path)
    return path


def download(program: Path, bucket: str, prefix: str, folder: Path) -> list[str]:
    """All below a prefix into a folder of its name."""
    return [str(program), "cp", f"s3://{bucket}/{prefix}/*", f"{folder / prefix}/"]


def upload(program: Path, folder: Path, bucket: str, prefix: str) -> list[str]:
    """All below a folder."""
    return [str(program), "cp", f"{folder}/", f"s3://{bucket}/{prefix}/"]


def sync(program: Path, bucket: str, prefix: str, folder: Path) -> list[str]:
    """As download, without what is there already."""
    return [str(program), "sync", f"s3://{bucket}/{prefix}/*", f"{folder / prefix}/"]


def remove(program: Path, bucket: str, prefix: str) -> list[str]:
    """All below a prefix, from the bucket."""
    return [str(program), "rm", f"s3://{bucket}/{prefix}/*"]


def make_bucket(program: Path, bucket: str) -> list[str]:
    """A new bucket."""
    return [str(program), "mb", f"s3://{bucket}"]
