"""The command ``mlflows``.

Exit codes: 0 fine, 1 it failed, 2 wrong usage. ``mlflows run`` has the program's own.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from mlflows.exceptions import AzureMLException

DESCRIPTION = """\
Run Azure ML SDK v1 training code on your own machines: Prefect runs it, MLflow keeps its history.

A submit.py written for SDK v1 needs no change:

  mlflows run submit.py             run it with the import names of SDK v1 (azureml.core ...)
  mlflows render submit.py          show the process it would start, and start nothing
  mlflows runs                      what was submitted, newest first
  mlflows logs -f RUN               follow a run's log
  mlflows cancel RUN                stop it

  mlflows env list                  environments; show, build, render, scaffold, register and download them

The first submit starts a Prefect server, an MLflow server and a runner on this machine and keeps them:

  mlflows status                    what runs, and its addresses
  mlflows down                      stop them (runs go on); mlflows up starts them again
  mlflows doctor                    find runs that nobody owns, and adopt or close them

With PREFECT_API_URL and MLFLOW_TRACKING_URI set, or given in .azureml/config.json, those servers are used instead.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = parser().parse_args(arguments)
    if options.command is None:
        parser().print_help(sys.stderr)
        return 2
    try:
        return _function(options.command)(options)
    except AzureMLException as error:
        return _failed(error.message, options)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The command's arguments; each subcommand names the function that does it."""
    top = argparse.ArgumentParser("mlflows", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    top.set_defaults(command=None, debug=False)
    _add_programs(commands)
    _add_services(commands)
    _add_history(commands)
    _add_environments(commands)
    return top


def _add_programs(commands: Any) -> None:
    run = _command(
        commands,
        "run",
        "mlflows.cli.programs:run",
        "run a program with the import names of SDK v1",
        "Runs a Python program in which `from azureml.core import ...` means mlflows, also where azureml-core is installed.\n"
        "Its exit code and its output are its own.",
        "mlflows run submit.py --epochs 3\nmlflows run notebooks/train_all.py",
    )
    render = _command(
        commands,
        "render",
        "mlflows.cli.programs:render",
        "show what a program would start, as JSON, and start nothing",
        "Runs the program up to its first submit, prints the process that submit would start (command, arguments, environment\n"
        "variables, folders), and ends. No service is started, no run is made. Secrets stay references.",
        "mlflows render submit.py --epochs 3\nmlflows render submit.py | jq .job.argv",
    )
    for each in (run, render):
        each.add_argument("program", help="path of the program")
        each.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    render.add_argument("--json", action="store_true", help="accepted; the output is JSON in any case")
    _command(commands, "version", "mlflows.cli.programs:version", "print the version", "Prints the version.", "mlflows version")


def _add_services(commands: Any) -> None:
    _command(
        commands,
        "up",
        "mlflows.cli.services:up",
        "start the local services",
        "Starts a Prefect server, an MLflow server and a runner in the background, where they are not running and no other\n"
        "server is configured. A submit does this by itself.",
        "mlflows up",
    )
    _command(
        commands,
        "down",
        "mlflows.cli.services:down",
        "stop the local services",
        "Stops what `mlflows up` or a submit started. Runs go on, and the next `up` takes care of them again.",
        "mlflows down",
    )
    status = _command(
        commands,
        "status",
        "mlflows.cli.services:status",
        "show the local services",
        "Shows for each service whether it runs, its process, its address and its log.",
        "mlflows status\nmlflows status --json",
    )
    _add_json(status)
    doctor = _command(
        commands,
        "doctor",
        "mlflows.cli.services:find_and_cure",
        "find and cure runs that nobody owns",
        "Looks through the job folders of this machine. A run whose flow has died is taken up again by a new one, which follows it to\n"
        "its end and closes it; one that nobody ever took is closed as Failed; processes that outlived their run are ended.\n"
        "`mlflows up` does the same when it starts.",
        "mlflows doctor\nmlflows doctor --dry-run",
    )
    doctor.add_argument("--dry-run", action="store_true", help="only say what is wrong")
    _add_json(doctor)


def _add_history(commands: Any) -> None:
    runs = _command(
        commands,
        "runs",
        "mlflows.cli.history:runs",
        "list runs, newest first",
        "Lists runs, newest first.",
        "mlflows runs\nmlflows runs -e iris -n 5\nmlflows runs --status Failed --json",
    )
    runs.add_argument("-e", "--experiment", help="only those of this experiment")
    runs.add_argument("--status", help="only those with this status: Running, Completed, Failed, Canceled ...")
    runs.add_argument("-n", "--number", type=_number, default=20, metavar="N", help="at most so many (default: 20)")
    show = _command(
        commands,
        "show",
        "mlflows.cli.history:show",
        "show a run: status, error, metrics, links",
        "Shows one run. RUN is the id that `mlflows runs` lists; the beginning of it is enough if only one run has it.",
        "mlflows show iris_1700000000_1a2b3c4d\nmlflows show iris_1700000000_1a2b3c4d --json",
    )
    logs = _command(
        commands,
        "logs",
        "mlflows.cli.history:logs",
        "print a run's log",
        "Prints what the script has printed so far; of several processes, one log after the other.",
        "mlflows logs iris_1700000000_1a2b3c4d\nmlflows logs -f iris_1700000000_1a2b3c4d",
    )
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    cancel = _command(
        commands,
        "cancel",
        "mlflows.cli.history:cancel",
        "stop a run",
        "Asks a run to stop: its processes get SIGTERM, and SIGKILL after ten seconds. What it has written so far stays.",
        "mlflows cancel iris_1700000000_1a2b3c4d",
    )
    for each in (show, logs, cancel):
        each.add_argument("run", metavar="RUN", help="id of the run")
    for each in (runs, show, logs):
        _add_json(each)


def _add_environments(commands: Any) -> None:
    env = commands.add_parser(
        "env",
        help="environments: list, show, build, render, scaffold, register, download",
        description="Environments are what scripts run in: a name, and packages, an interpreter or an image behind it.\n"
        "A folder of one has azureml_environment.json and, as needed, conda_dependencies.yml and BaseDockerfile.",
        epilog="examples:\n  mlflows env scaffold -n training -d training-env\n  mlflows env build -d training-env\n"
        "  mlflows env register -d training-env\n  mlflows env list",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = env.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listed = _command(
        actions,
        "list",
        "mlflows.cli.environments:list_all",
        "list registered and curated environments",
        "Lists the newest version of every registered environment, and the curated ones: whether this machine has its packages\n"
        "(PACKAGES) and its image (IMAGE). `own` is a python that its user looks after; `-`: there is nothing to build, or no engine.",
        "mlflows env list\nmlflows env list --json",
    )
    show = _command(
        actions,
        "show",
        "mlflows.cli.environments:show",
        "show an environment's definition",
        "Shows a registered or curated environment: its python, packages, image, variables, and where it has been built.",
        "mlflows env show -n training\nmlflows env show -n training -v 2 --json",
    )
    build = _command(
        actions,
        "build",
        "mlflows.cli.environments:build",
        "build an environment ahead of a run",
        "Builds what a run would build: the packages for runs of this machine, or with --docker the image, which is pushed if the\n"
        "workspace has a container_registry. What is there already is found again, not built.",
        "mlflows env build -n training\nmlflows env build -d training-env --docker",
    )
    render = _command(
        actions,
        "render",
        "mlflows.cli.environments:render",
        "show how it would be built, and build nothing",
        "Prints the steps as a shell script, or with --docker the Dockerfile and the files beside it. Secrets stay references.",
        "mlflows env render -d training-env\nmlflows env render -n training --docker\nmlflows env render -n training --docker -o context",
    )
    scaffold = _command(
        actions,
        "scaffold",
        "mlflows.cli.environments:scaffold",
        "write the folder of a new environment",
        "Writes azureml_environment.json and conda_dependencies.yml to start from, with this python's version; with --docker also\n"
        "a BaseDockerfile.",
        "mlflows env scaffold -n training -d training-env\nmlflows env scaffold -n training -d training-env --docker",
    )
    register = _command(
        actions,
        "register",
        "mlflows.cli.environments:register",
        "register the environment of a folder",
        "Registers what is in a folder, for everybody on the same Prefect server. What has not changed keeps its version.",
        "mlflows env register -d training-env\nmlflows env register -d training-env -n training-nightly",
    )
    download = _command(
        actions,
        "download",
        "mlflows.cli.environments:download",
        "write an environment into a folder",
        "Writes a registered or curated environment into a folder, to be changed, built or registered from there.",
        "mlflows env download -n training -d training-env\nmlflows env download -n AzureML-sklearn-1.5 -d mine --overwrite",
    )
    for each in (build, render):
        either = each.add_mutually_exclusive_group(required=True)
        either.add_argument("-n", "--name", help="a registered or curated environment")
        either.add_argument("-d", "--directory", help="the folder of one")
        each.add_argument("--docker", action="store_true", help="the image, not the packages of this machine")
    render.add_argument("-o", "--output", metavar="FOLDER", help="with --docker: write the build context there, for `docker build`")
    for each in (show, scaffold, download):
        each.add_argument("-n", "--name", required=True, help="name of the environment")
    for each in (scaffold, register, download):
        each.add_argument("-d", "--directory", required=True, help="the folder")
    register.add_argument("-n", "--name", help="register it under this name (default: the one in azureml_environment.json)")
    scaffold.add_argument("--docker", action="store_true", help="with a BaseDockerfile")
    for each in (scaffold, download):
        each.add_argument("--overwrite", action="store_true", help="replace the files of an environment that are there")
    for each in (show, build, render, download):
        each.add_argument("-v", "--version", help="version (default: the newest)")
    for each in (listed, show, build, render, register):
        _add_json(each)


def _command(commands: Any, name: str, function: str, summary: str, description: str, examples: str) -> argparse.ArgumentParser:
    lines = "\n".join(f"  {line}" for line in examples.splitlines())
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    made.set_defaults(command=function)
    return made


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _function(name: str) -> Callable[[argparse.Namespace], int]:
    """Imported only when it is called for, so that `mlflows --help` is quick."""
    module, _, attribute = name.partition(":")
    function: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(module), attribute)
    return function


def _failed(message: str, options: argparse.Namespace) -> int:
    if options.debug:
        traceback.print_exc()
    else:
        print(f"mlflows: error: {' '.join(message.split())}", file=sys.stderr)
    return 1
