"""Where things are on this machine, and which servers are used. Standard library only.

Every place is found in the same order: environment variable, the workspace's config.json, Prefect's profile, local services.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

HOME_VARIABLE = "MLFLOWS_HOME"


def home() -> Path:
    """Folder of everything this package keeps on this machine: ``$MLFLOWS_HOME`` or ``~/.mlflows``."""
    value = os.environ.get(HOME_VARIABLE)
    return Path(os.path.abspath(value)) if value else Path.home() / ".mlflows"


def runs_dir() -> Path:
    """Parent of the job folders."""
    return home() / "runs"


def job_folder(run_id: str) -> Path:
    """Job folder of a run on this machine."""
    return runs_dir() / run_id


def workspace_dir(name: str) -> Path:
    """Folder of a workspace: its definition and its local datastores."""
    return home() / "workspaces" / name


def own_key() -> bytes:
    """Random bytes that this person's processes on this machine share; made when first asked for."""
    path = home() / "own.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name("{}.{}".format(path.name, os.getpid()))
        with open(os.open(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(os.urandom(32))
        try:
            os.link(str(temporary), str(path))
        except OSError:
            if not path.exists():  # a file system without hard links; else somebody was quicker
                temporary.replace(path)
        if temporary.exists():
            temporary.unlink()
    return path.read_bytes()


def services_dir() -> Path:
    """Databases, logs and the record of the local services."""
    return home() / "services"


def runner_socket() -> Path:
    """Unix socket of the resident runner: short whatever the home is called, in a folder only this user can enter."""
    digest = hashlib.sha256(str(home()).encode()).hexdigest()[:16]
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"mlflows-{os.getuid()}" / f"{digest}.sock"


@dataclass(frozen=True)
class Servers:
    """The two servers of a run.

    ``prefect_api_url`` ends in ``/api``; ``mlflow_tracking_uri`` is an http(s) address. ``prefect_ui_url`` and ``mlflow_ui_url`` are
    the bases of links a person opens. ``local`` says that this package started them.
    """

    prefect_api_url: str
    mlflow_tracking_uri: str
    prefect_ui_url: str
    mlflow_ui_url: str
    local: bool


def configured_prefect(config: Mapping[str, Any] = {}) -> Optional[str]:
    """``prefect_api_url`` as a person configured it, or None."""
    return os.environ.get("PREFECT_API_URL") or config.get("prefect_api_url") or _profile_setting("PREFECT_API_URL")


def configured_mlflow(config: Mapping[str, Any] = {}) -> Optional[str]:
    """``mlflow_tracking_uri`` as a person configured it, or None."""
    return os.environ.get("MLFLOW_TRACKING_URI") or config.get("mlflow_tracking_uri")


def prefect_headers() -> Dict[str, str]:
    """What Prefect's server wants to see: from ``PREFECT_API_KEY`` or ``PREFECT_API_AUTH_STRING`` (user:password), or the profile's."""
    key = os.environ.get("PREFECT_API_KEY") or _profile_setting("PREFECT_API_KEY")
    if key:
        return {"Authorization": f"Bearer {key}"}
    pair = os.environ.get("PREFECT_API_AUTH_STRING") or _profile_setting("PREFECT_API_AUTH_STRING")
    if not pair:
        return {}
    import base64

    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _profile_setting(name: str) -> Optional[str]:
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or Path.home() / ".prefect" / "profiles.toml")
    if not path.is_file():
        return None
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import toml as tomllib  # type: ignore[import-untyped, no-redef]
    profiles = tomllib.loads(path.read_text())
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    value = profiles.get("profiles", {}).get(active, {}).get(name)
    return str(value) if value else None


def services_record() -> Dict[str, Any]:
    """What ``mlflows up`` wrote about the services it started; empty if there are none."""
    try:
        return json.loads((services_dir() / "services.json").read_text())  # type: ignore[no-any-return]
    except (FileNotFoundError, ValueError):
        return {}
