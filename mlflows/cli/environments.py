"""env list, show, build, render, scaffold, register, download."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlflows.cli.tables import print_table
from mlflows.environments import building, builds, credentials, image, registry, requirements, steps
from mlflows.environments.digest import digest
from mlflows.environments.dockerfile import Recipe
from mlflows.environments.engine import Engine, EngineError
from mlflows.environments.environment import CONDA_FILE, DEFINITION_FILE, DOCKERFILE, Environment
from mlflows.environments.resolve import needs_build, resolve_interpreter
from mlflows.environments.summary import summary
from mlflows.exceptions import UserErrorException
from mlflows.spec import EnvironmentSpec
from mlflows.workspace import Workspace

HEADER = ("NAME", "VERSION", "KIND", "PACKAGES", "IMAGE")
FILES = (DEFINITION_FILE, CONDA_FILE, DOCKERFILE)
_CONCURRENT = 8

_CONDA_FILE = """\
# What the environment {name} has: conda's own format, so `conda env create -f` reads it, too.
channels:
  - conda-forge
dependencies:
  - python={python}        # or a condition, such as python>=3.10
  - pip
  - pip:
      # One requirement a line, as in requirements.txt. azureml-* packages are not needed: every run has those names.
      - scikit-learn
"""
_DOCKERFILE = """\
# What the image of {name} begins with; the packages of conda_dependencies.yml are put on top of it.
FROM python:{python}-slim
"""


def list_all(options: argparse.Namespace) -> int:
    """List registered and curated ones."""
    workspace = Workspace._here()
    definitions = [each._serialize_to_dict() for each in Environment.list(workspace).values()]
    engine, its_registry = _engine(), None
    if engine is not None and workspace._container_registry():
        its_registry = image.registry_of(workspace._container_registry(), workspace._prefect())

    def image_of(definition: Mapping[str, Any]) -> bool | None:
        with contextlib.suppress(UserErrorException):
            return None if engine is None else image.is_here(definition, engine, its_registry)
        return None

    with ThreadPoolExecutor(_CONCURRENT) as pool:
        images = list(pool.map(image_of, definitions))
    found = [
        {
            "name": definition["name"],
            "version": definition["version"],
            "kind": "curated" if registry.is_curated(definition["name"]) else "registered",
            "packages": _packages_here(definition),
            "image": has_image,
        }
        for definition, has_image in zip(definitions, images, strict=True)
    ]
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    rows = [[*(str(each[key]) for key in ("name", "version", "kind")), _word(each["packages"]), _word(each["image"])] for each in found]
    print_table([HEADER, *rows])
    return 0


def show(options: argparse.Namespace) -> int:
    """Show one."""
    environment = _registered(options.name, options.version)
    definition = environment._serialize_to_dict()
    if options.json:
        print(json.dumps(credentials.masked_definition(definition), indent=2))
        return 0
    lines = {**summary(definition), "Here": _where(definition)}
    for title, value in lines.items():
        for number, line in enumerate(value.splitlines()):
            print(f"{title + ':' if not number else '':12}{line}".rstrip())
    return 0


def build(options: argparse.Namespace) -> int:
    """Build one, and show the output as it comes."""
    if _version_of_a_folder(options):
        return 2
    output = sys.stderr if options.json else sys.stdout

    def write(text: str) -> None:
        output.write(text)
        output.flush()

    workspace, environment = Workspace._here(), _asked_for(options)
    if not options.docker:
        _refuse_images(environment)
    definition, resolve, its_registry = building.prepared(environment, workspace, _folder(options))
    began = time.monotonic()
    if options.docker:
        made = image.ensure_image(definition, registry=its_registry, resolve=resolve, write=write)
        result = {"image": made.name, "id": made.id, "python": made.python, "digest": made.digest}
        told = f"the image {made.name}"
    elif _interpreter(definition) is not None:
        told = f"{_interpreter(definition)}: there is nothing to build"
        result = {"python": str(_interpreter(definition))}
    else:
        built = builds.ensure(definition, write=write, resolve=resolve)
        result = {"python": str(built.interpreter), "digest": built.digest, "log": str(built.log)}
        told = str(built.interpreter)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps({"name": environment.name, "version": environment.version, **result, "seconds": round(seconds, 3)}, indent=2))
    else:
        print(f"{environment.name}: ready after {seconds:.1f} s: {told}")
    return 0


def render(options: argparse.Namespace) -> int:
    """Show how it would be built."""
    if _version_of_a_folder(options):
        return 2
    if options.output and not options.docker:
        print("mlflows: error: --output is the build context of an image: give --docker, too", file=sys.stderr)
        return 2
    environment = _asked_for(options)
    definition = requirements.localized(environment._serialize_to_dict(), _folder(options))
    definition, _ = credentials.taken_out(definition)
    if options.docker:
        return _render_image(environment, definition, options)
    _refuse_images(environment)
    interpreter = _interpreter(definition)
    found = [] if interpreter is not None else steps.steps(definition)
    if options.json:
        python = str(interpreter or builds.interpreter_of(definition))
        print(json.dumps({"name": environment.name, "python": python, "steps": [dataclasses.asdict(step) for step in found]}, indent=2))
    elif interpreter is not None:
        print(f"# {environment.name}: nothing is built, runs of it use {interpreter}")
    else:
        sys.stdout.write(steps.as_shell(found))
    return 0


def scaffold(options: argparse.Namespace) -> int:
    """Write the folder of a new environment."""
    folder = _folder_to_write(options)
    if registry.is_curated(options.name):
        raise UserErrorException(
            f"--name: {options.name!r} begins as only curated environments' names do. Give another, such as my-{options.name}."
        )
    python = "{}.{}".format(*sys.version_info[:2])
    conda = _CONDA_FILE.format(name=options.name, python=python)
    environment = Environment(options.name)
    environment.environment_variables = {}
    environment.save_to_directory(folder, overwrite=True)
    (folder / CONDA_FILE).write_text(conda, encoding="utf-8")
    if options.docker:
        (folder / DOCKERFILE).write_text(_DOCKERFILE.format(name=options.name, python=python), encoding="utf-8")
    _tell_written(folder, environment)
    return 0


def register(options: argparse.Namespace) -> int:
    """Register what is in a folder."""
    environment = _of_folder(options.directory)
    if options.name:
        environment.name = options.name
    definition = requirements.localized(environment._serialize_to_dict(), _folder(options))
    requirements.check(definition)
    registered = Environment._deserialize(definition).register(Workspace._here())
    if options.json:
        print(json.dumps({"name": registered.name, "version": registered.version}, indent=2))
    else:
        print(f"{registered.name}: version {registered.version}")
    return 0


def download(options: argparse.Namespace) -> int:
    """Write one into a folder."""
    folder = _folder_to_write(options)
    environment = _registered(options.name, options.version)
    for name in FILES:  # a Dockerfile of before would be this one's
        (folder / name).unlink(missing_ok=True)
    environment.save_to_directory(folder, overwrite=True)
    _tell_written(folder, environment)
    return 0


def _asked_for(options: argparse.Namespace) -> Environment:
    return _of_folder(options.directory) if options.directory else _registered(options.name, options.version)


def _registered(name: str, version: str | None) -> Environment:
    try:
        return Environment.get(Workspace._here(), name, version)
    except registry.EnvironmentNotFound as error:
        raise UserErrorException(f"--name: {error.reason}", error) from error


def _of_folder(folder: str) -> Environment:
    if not os.path.isfile(os.path.join(folder, DEFINITION_FILE)):
        what = f"there is no {DEFINITION_FILE} in it" if os.path.isdir(folder) else "there is no such folder"
        raise UserErrorException(
            f"--directory: {folder!r}: {what}. `mlflows env scaffold -n NAME -d {folder}` writes one, `mlflows env download` one that is "
            "registered."
        )
    return Environment.load_from_directory(folder)


def _folder(options: argparse.Namespace) -> str:
    """Where relative paths are looked for, besides the current folder."""
    return os.path.abspath(options.directory or "")


def _folder_to_write(options: argparse.Namespace) -> Path:
    """The folder, if it may be written."""
    folder = Path(options.directory)
    there = [name for name in FILES if (folder / name).exists()]
    if there and not options.overwrite:
        raise UserErrorException(
            f"--directory: {options.directory!r} has {', '.join(there)} already. Give --overwrite to replace it, or another folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserErrorException(
            f"--directory: {options.directory!r} cannot be made: {error.strerror}. Give another folder.", error
        ) from error
    return folder


def _version_of_a_folder(options: argparse.Namespace) -> bool:
    if options.directory and options.version:
        print("mlflows: error: --version belongs to --name: a folder has one version only", file=sys.stderr)
    return bool(options.directory and options.version)


def _tell_written(folder: Path, environment: Environment) -> None:
    written = ", ".join(name for name in FILES if (folder / name).exists())
    version = f" version {environment.version}" if environment.version else ""
    print(f"{environment.name}{version}: wrote {written} to {folder}")


def _refuse_images(environment: Environment) -> None:
    """That packages of this machine are asked for, and the definition says how an image is made."""
    for field in ("base_dockerfile", "build_context"):
        if getattr(environment.docker, field):
            raise UserErrorException(f"environment {environment.name!r}: docker.{field} is set, so it is an image. Give --docker.")


def _interpreter(definition: Mapping[str, Any]) -> str | None:
    """The python of an environment in which nothing is to be built; None of others."""
    return resolve_interpreter(EnvironmentSpec(name=definition.get("name"), definition=dict(definition)))


def _render_image(environment: Environment, definition: Mapping[str, Any], options: argparse.Namespace) -> int:
    recipe = image.render(definition)
    if recipe is None:
        if options.json:
            print(json.dumps({"name": environment.name, "image": environment.docker.base_image, "dockerfile": None, "files": {}}, indent=2))
        else:
            print(f"# {environment.name}: nothing is built, the image {environment.docker.base_image} is used as it is")
        return 0
    if options.output:
        recipe.write(Path(options.output))
        print(f"{environment.name}: wrote the build context to {options.output}", file=sys.stderr if options.json else sys.stdout)
    if options.json:
        shown = {
            name: content.decode() if isinstance(content, bytes) else {"copied_from": str(content)}
            for name, content in recipe.files.items()
        }
        print(
            json.dumps({"name": environment.name, "dockerfile": recipe.dockerfile, "files": shown, "secrets": [*recipe.secrets]}, indent=2)
        )
    elif not options.output:
        _print_recipe(recipe)
    return 0


def _print_recipe(recipe: Recipe) -> None:
    sys.stdout.write(recipe.dockerfile)
    for name, content in recipe.files.items():
        if isinstance(content, bytes):
            print(f"\n==> {name} <==\n{content.decode().rstrip()}")
        else:
            print(f"\n==> {name} <== a copy of {content}")


def _is_own(definition: Mapping[str, Any]) -> bool:
    return bool((definition.get("python") or {}).get("userManagedDependencies"))


def _packages_here(definition: Mapping[str, Any]) -> str | bool | None:
    """Path of the python that has been made for it; False if none has; "own", or None if there is nothing to make."""
    docker = definition.get("docker") or {}
    if _is_own(definition):
        return "own"
    with contextlib.suppress(UserErrorException):
        if docker.get("baseDockerfile") or docker.get("buildContext") or not needs_build(definition):
            return None
        found = builds.known(digest(definition, "venv"))
        return str(found.interpreter) if found else False
    return None


def _where(definition: Mapping[str, Any]) -> str:
    """What of it this machine has."""
    found = []
    packages, engine = _packages_here(definition), _engine()
    if isinstance(packages, str) and packages != "own":
        found.append(f"packages: {packages}")
    with contextlib.suppress(UserErrorException):
        if engine is not None and image.is_here(definition, engine):
            found.append("image: yes")
    return "\n".join(found)


def _word(value: object) -> str:
    """In a table."""
    if value is None:
        return "-"
    return "yes" if value is True or isinstance(value, str) and value != "own" else str(value or "no")


def _engine() -> Engine | None:
    """The engine, if it answers."""
    try:
        engine = Engine.find()
        engine.check()
        return engine
    except EngineError:
        return None
