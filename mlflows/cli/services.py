"""up, down, status."""

from __future__ import annotations

import argparse
import json
import sys

from mlflows.flows import services
from mlflows.workspace import Workspace


def up(options: argparse.Namespace) -> int:
    """Start what is missing."""
    servers = services.up(Workspace._here()._server_settings())
    print(f"Prefect: {servers.prefect_ui_url}\nMLflow:  {servers.mlflow_ui_url}")
    return 0


def down(options: argparse.Namespace) -> int:
    """Stop what this package started."""
    if not services.down():
        print("Nothing was running.", file=sys.stderr)
    return 0


def status(options: argparse.Namespace) -> int:
    """Print the state of each service."""
    found = services.status()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, each in found.items():
        state = f"running  pid {each['pid']}  {each['url']}" if each["running"] else "stopped"
        print(f"{name:8} {state}\n         log: {each['log']}")
    return 0
