"""What this machine's conda can tell."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any


def export_environment(name: str) -> dict[str, Any] | None:
    """The specification of a conda environment of this machine; None, and a printed sentence, without conda or the environment."""
    conda = shutil.which("conda")
    if conda is None:
        print("No conda was found on PATH: install it, or give a conda specification file to Environment.from_conda_specification.")
        return None
    done = subprocess.run([conda, "env", "export", "--no-builds", "--name", name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"conda could not export the environment {name!r}: {done.stderr.strip()}")
        return None
    import yaml

    specification: dict[str, Any] = yaml.safe_load(done.stdout)
    specification.pop("prefix", None)
    return specification
