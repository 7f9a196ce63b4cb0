"""Scratch environments: each peer is installed by itself, so that no dependency of one slows or breaks another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER_VARIABLE = "MLFLOWS_BENCH_ENVS"


def folder() -> Path:
    """Where the scratch environments are kept: ``$MLFLOWS_BENCH_ENVS`` or ``~/.cache/mlflows-bench``."""
    value = os.environ.get(FOLDER_VARIABLE)
    return Path(value).absolute() if value else Path.home() / ".cache" / "mlflows-bench"


def interpreter(name: str, requirements: list[str]) -> Path:
    """The Python of the scratch environment ``name``; made if it is not there or was made for other requirements."""
    path = folder() / name
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}\n" + "\n".join(requirements) + "\n"
    stamp = path / "requirements.stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {name}: {' '.join(requirements)}", file=sys.stderr)
        shutil.rmtree(path, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(path))
        _uv("pip", "install", "--quiet", "--python", str(path / "bin" / "python"), *requirements)
        stamp.write_text(wanted)
    return path / "bin" / "python"


def version(python: Path, package: str) -> str:
    """Installed version of ``package`` beside ``python``."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)
