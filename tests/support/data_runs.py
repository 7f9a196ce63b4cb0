"""Runs with data: a script that says what it sees, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlflows.config.script_run_config import ScriptRunConfig
from mlflows.experiment import Experiment
from mlflows.history.run import ScriptRun
from mlflows.workspace import Workspace

SEEN = """
import json, os, sys
def look(path):
    if os.path.isfile(path):
        return open(path).read()
    return {os.path.relpath(os.path.join(parent, name), path): open(os.path.join(parent, name)).read()
            for parent, _, names in os.walk(path) for name in names}
seen = {"argv": sys.argv[1:], "variables": dict(os.environ)}
seen["content"] = [look(each) for each in sys.argv[1:] if os.path.exists(each)]
json.dump(seen, open("outputs/seen.json", "w"))
"""
"""What a script sees of its data, as an artifact of its run; ``seen`` reads it."""


def submit(ws: Workspace, folder: Path, script: str, arguments: Any = (), **options: Any) -> ScriptRun:
    """Submit a script with SEEN in front of it; not waited for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(SEEN + script)
    prepare = options.pop("prepare", lambda config: None)
    config = ScriptRunConfig(str(folder), "train.py", list(arguments), **options)
    prepare(config)
    return Experiment(ws, "data runs").submit(config)


def ended(run: ScriptRun, status: str = "Completed") -> ScriptRun:
    """The run, after its end as ``status``."""
    run.wait_for_completion(raise_on_error=False)
    assert run.get_status() == status, json.dumps(run.get_details().get("error"), indent=1)
    return run


def seen(run: ScriptRun, tmp_path: Path) -> dict[str, Any]:
    """What SEEN has written."""
    target = tmp_path / f"seen-{run.id}.json"
    run.download_file("outputs/seen.json", str(target))
    return json.loads(target.read_text())  # type: ignore[no-any-return]


def error_of(run: ScriptRun) -> str:
    """The message of a failed run."""
    return str(run.get_details()["error"]["error"]["message"])
