"""run, render, version."""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any, NoReturn

import mlflows
from mlflows.exceptions import UserErrorException

IMPORT_NAMES = Path(mlflows.__file__).parent / "azureml_path"
"""Folder in which ``azureml`` is a package of ours."""


def run(options: argparse.Namespace) -> NoReturn:
    """Become the program: a fresh interpreter, so that nothing of ours is in its tracebacks, arguments or exit code."""
    program = _program(options)
    path = os.pathsep.join([str(IMPORT_NAMES), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, program, *options.arguments], {**os.environ, "PYTHONPATH": path})


def render(options: argparse.Namespace) -> int:
    """Run the program in this process, with submit replaced."""
    from mlflows.experiment import Experiment

    program = _program(options)
    Experiment._launch = _show_and_end
    sys.argv = [program, *options.arguments]
    sys.path[:1] = [os.path.dirname(os.path.abspath(program)), str(IMPORT_NAMES)]
    runpy.run_path(program, run_name="__main__")
    raise UserErrorException(f"{program} ended without submitting a run.")


def version(options: argparse.Namespace) -> int:
    """Print it."""
    print(mlflows.__version__)
    return 0


def _program(options: argparse.Namespace) -> str:
    if not os.path.isfile(options.program):
        raise UserErrorException(f"There is no program {options.program!r}. Give the path of a Python file, such as submit.py.")
    return str(options.program)


def _show_and_end(experiment: Any, spec: Any, run_id: str, *_: Any) -> NoReturn:
    from mlflows.rendering import process_of

    print(json.dumps(process_of(spec, run_id), indent=2))
    sys.exit(0)
