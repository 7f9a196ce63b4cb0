"""The house rules: who may import whom, what the quick paths may need, how long a file may be, what is in the wheel."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mlflows"
MAX_LINES = 500

GROUND = {"_lazy", "exceptions", "settings", "spec", "rest", "git", "blocks", "versions", "keyvault"}
ABOVE = {
    "ground": set(),
    "job": set(),
    "environments": {"ground", "job"},
    "data": {"ground", "job"},
    "config": {"ground", "job", "environments", "data"},
    "compute": {"ground", "job", "environments", "data"},
    "history": {"ground", "job"},
    "flows": {"ground", "job", "environments", "data", "config", "compute", "history"},
    "front": {"ground", "job", "environments", "data", "config", "compute", "history", "flows"},
}
"""Room -> the rooms it may import from, besides itself."""

JOB_MAY_IMPORT = {"mlflows", "mlflows._lazy", "mlflows.exceptions"}
"""All of the ground floor that runs on Python 3.6; the package itself has names that depend on the interpreter."""

QUICK = {"ground", "job", "environments", "data", "config", "history", "front"}
QUICK_MODULES = {f"mlflows.flows.{name}" for name in ("services", "starting", "record", "handoff", "doctor")}
"""Rooms and modules that import the standard library only: submitting and training must start in milliseconds."""

LATE = {"mlflows.environments.block", "mlflows.data.dataset_block", "mlflows.data.datastore_block"}
"""Modules of quick rooms that import more; quick ones import them inside the function that needs them."""

OLD_PYTHON = ["job", "_lazy.py", "exceptions.py", "__init__.py", "azureml_path"]
"""What a training script imports, on whatever Python it runs."""


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if "azureml_path" not in path.parts}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def public_names() -> dict[str, str]:
    """The lazy names of ``mlflows``: name -> module that has it, in a job and outside."""
    import mlflows

    return {name: target.partition(":")[0] for name, target in mlflows.NAMES.items()}


def room(module: str) -> str:
    part = module.partition(".")[2].partition(".")[0]
    if part in GROUND or not part:
        return "ground"
    return part if part in ABOVE else "front"


def imported(name: str, node: ast.AST) -> Iterator[str]:
    """The modules that an import statement of module ``name`` names; nothing for other statements."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, f"{name}: relative imports are not used here"
        yield from (behind(str(node.module), alias.name) for alias in node.names)


def behind(module: str, attribute: str) -> str:
    """The module that ``from module import attribute`` needs."""
    submodule = f"{module}.{attribute}"
    if submodule in FILES:
        return submodule
    return public_names().get(attribute, module) if module == "mlflows" else module


def ours(name: str, nodes: Iterable[ast.AST]) -> set[str]:
    """The modules of ours that import statements among ``nodes`` name."""
    return {target for node in nodes for target in imported(name, node) if target in FILES} - {name}


def really_run(statements: list[ast.stmt], functions: bool) -> Iterator[ast.stmt]:
    """Statements and those inside them: not those under ``if TYPE_CHECKING``, which are for annotations; bodies of functions on demand."""
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not functions:
            continue
        yield node
        only_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for field in ("orelse",) if only_types else ("body", "orelse", "finalbody"):
            yield from really_run(getattr(node, field, []), functions)
        for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
            yield from really_run(part.body, functions)


@pytest.mark.parametrize("name", FILES)
def test_imports_run_downwards(name: str) -> None:
    mine = room(name)
    upwards = [target for target in ours(name, ast.walk(TREES[name])) if room(target) != mine and room(target) not in ABOVE[mine]]
    if mine == "job":
        upwards = [target for target in ours(name, ast.walk(TREES[name])) if room(target) != "job" and target not in JOB_MAY_IMPORT]
    assert not upwards, f"{name} is in room {mine}, which may not import {upwards}"


def test_no_import_cycles() -> None:
    """Also none that is hidden by importing inside a function."""
    graph = {name: sorted(ours(name, really_run(TREES[name].body, functions=True))) for name in FILES}
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in graph[name]:
                visit(target, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("name", [name for name in FILES if (room(name) in QUICK or name in QUICK_MODULES) and name not in LATE])
def test_quick_paths_import_the_standard_library_only(name: str) -> None:
    top = {target for node in really_run(TREES[name].body, functions=False) for target in imported(name, node)}
    foreign = {target.split(".")[0] for target in top} - sys.stdlib_module_names - {"mlflows"} | top & LATE
    assert not foreign, f"{name} imports {foreign} when it is imported"


@pytest.mark.parametrize("name", FILES)
def test_files_are_short(name: str) -> None:
    assert len(FILES[name].read_text().splitlines()) <= MAX_LINES


def test_what_a_job_imports_has_python_3_6_syntax() -> None:
    paths = [str(PACKAGE / part) for part in OLD_PYTHON]
    options = ["--target=3.6-", "--violations", "--no-tips", "--eval-annotations"]
    vermin = [sys.executable, "-c", "import vermin; vermin.main()", *options, *paths]
    done = subprocess.run(vermin, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("statement", "in_job"),
    [
        ("import mlflows", False),
        ("from mlflows import Run, Workspace, Experiment, ScriptRunConfig, Environment", False),
        ("from azureml.core import Run, Workspace, Experiment, ScriptRunConfig, Environment", False),
        ("from mlflows import Run", True),
        ("from azureml.core import Run", True),
        ("from azureml.core.run import Run, _OfflineRun", True),
    ],
)
def test_importing_needs_the_standard_library_only(statement: str, in_job: bool, tmp_path: Path) -> None:
    code = f"import json, sys; before = set(sys.modules); {statement}; print(json.dumps(sorted(set(sys.modules) - before)))"
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE / 'azureml_path'}{os.pathsep}{ROOT}"}
    if in_job:
        environment["MLFLOWS_JOB_FOLDER"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert loaded - sys.stdlib_module_names <= {"mlflows", "azureml"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    return next(folder.glob("*.whl"))


def test_wheel_has_types_import_names_and_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    here = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert here <= names
    assert {"mlflows/py.typed", "mlflows/azureml_path/azureml/core/__init__.py"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "[prefect.collections]\nmlflows = mlflows" in entry_points
    assert "mlflows = mlflows.cli:main" in entry_points


def test_wheel_works_installed_without_dependencies(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "-q", "--no-deps", "--offline", "--python", python, wheel], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = "import mlflows; from mlflows import Run, Workspace, Experiment, ScriptRunConfig; print(mlflows.__version__, mlflows.__file__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
