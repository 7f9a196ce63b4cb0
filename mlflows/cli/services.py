"""up, down, status, doctor."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from mlflows.flows import doctor, services
from mlflows.workspace import Workspace


def up(options: argparse.Namespace) -> int:
    """Start what is missing."""
    servers = services.up(Workspace._here()._server_settings())
    for finding in doctor.examine():
        print(f"{finding.run_id}: {finding.problem}; {doctor.cure(finding, servers)}")
    print(f"Prefect: {servers.prefect_ui_url}\nMLflow:  {servers.mlflow_ui_url}")
    return 0


def find_and_cure(options: argparse.Namespace) -> int:
    """Print what is wrong with the runs of this machine, and cure it unless asked not to; 1 if something stays uncured."""
    findings = doctor.examine()
    servers = None if options.dry_run or not findings else services.up(Workspace._here()._server_settings())
    report = [(finding, doctor.cure(finding, servers) if servers else f"cure: {finding.cure}") for finding in findings]
    if options.json:
        print(json.dumps([{**dataclasses.asdict(finding), "done": done} for finding, done in report], indent=2))
    else:
        print("\n".join(f"{finding.run_id}: {finding.problem}; {done}" for finding, done in report) or "All is well.")
    return int(any(done.startswith("not cured") for _, done in report))


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
