"""What an environment's definition asks to be installed, and what can be said against it before anything is built."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflows.environments import files
from mlflows.environments.conda_dependencies import (
    DEFAULT_STRUCTURE_PYTHON,
    PYTHON_DEFAULT_VERSION,
    CondaDependencies,
    conda_name,
    pip_name,
)
from mlflows.environments.credentials import masked
from mlflows.exceptions import UserErrorException

FIELD = "environment.python.conda_dependencies"
OLDEST_PYTHON = (3, 6)
"""What runs beside a script needs it."""
PYTHON_BY_DEFAULT = frozenset({DEFAULT_STRUCTURE_PYTHON, PYTHON_DEFAULT_VERSION})
"""What SDK v1 asks for where a person does not."""
PART_OF_ANY_PYTHON = frozenset({"python", "pip", "setuptools", "wheel"})

IN_THE_FILE = {
    "-i": "--index-url",
    "--index-url": "--index-url",
    "--pypi-url": "--index-url",
    "--extra-index-url": "--extra-index-url",
    "-f": "--find-links",
    "--find-links": "--find-links",
    "--no-index": "--no-index",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
    "-c": "--constraint",
    "--constraint": "--constraint",
    "-e": "--editable",
    "--editable": "--editable",
}
"""Options of pip that stand among the requirements, by the long name they are written with."""
ON_THE_COMMAND_LINE = {
    "--pre": "--prerelease=allow",
    "--no-deps": "--no-deps",
    "--require-hashes": "--require-hashes",
    "--no-build-isolation": "--no-build-isolation",
    "--no-cache-dir": "--no-cache",
    "--trusted-host": "--allow-insecure-host",
}
"""Options of pip that uv takes on its command line."""
WITHOUT_EFFECT = frozenset(
    (
        *("--prefer-binary", "--use-feature", "--use-deprecated", "--use-pep517", "--no-use-pep517", "--process-dependency-links"),
        *("--upgrade", "-U", "--upgrade-strategy", "--force-reinstall", "--ignore-installed", "-I", "--exists-action", "--isolated"),
        *("--quiet", "-q", "--verbose", "-v", "--progress-bar", "--no-warn-script-location", "--no-warn-conflicts", "--no-input"),
        *("--timeout", "--default-timeout", "--retries", "--disable-pip-version-check", "--user", "--allow-external"),
    )
)
"""Options of pip that change nothing about what is installed into an empty environment."""
_WITH_A_PATH = ("--find-links", "--constraint", "--editable")
_RUNTIMES = {"azureml-dataset-runtime", "azureml-dataprep"}
_WITH_RUNTIME = {"azureml-defaults", "azureml-sdk"}
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_VERSION = r"\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?"
_COMPARED = rf"(?:(?:==|!=){_VERSION}(?:\.\*)?|(?:>=|<=|<|>){_VERSION})"
_PLAIN = rf"[A-Za-z0-9](?:[\w.\-]*[A-Za-z0-9])?(?:\[\w+(?:,\w+)*\])?(?:{_COMPARED}(?:,{_COMPARED})*)?"
_CONDITION = r"\s*(===|==|=|!=|>=|<=|~=|>|<)?\s*v?(\d+(?:\.\d+)*)(\.?\*)?\s*"
"""Patterns are compiled when they are used: every submit imports this, and few need them."""


def packages_to_install(conda_specification: Mapping[str, Any]) -> list[str]:
    """Packages of a conda specification that neither mlflows nor any python brings."""
    dependencies = CondaDependencies(_underlying_structure=conda_specification)
    conda = [package for package in dependencies.conda_packages if conda_name(package) not in PART_OF_ANY_PYTHON and not _is_ours(package)]
    pip = list(dependencies.pip_packages)
    return conda + [line for line in pip if not _is_ours(line) and pip_name(line) not in PART_OF_ANY_PYTHON] + _for_tables(conda, pip)


def conda_packages(definition: Mapping[str, Any]) -> list[str]:
    """The conda packages, python among them, in order; without ``azureml-*``."""
    return [package for package in _dependencies(definition).conda_packages if not _is_ours(package)]


def needs_conda(definition: Mapping[str, Any]) -> bool:
    """Whether there is a conda package that a venv does not have anyway."""
    return any(conda_name(package) not in PART_OF_ANY_PYTHON for package in conda_packages(definition))


def missing_solver(definition: Mapping[str, Any]) -> str | None:
    """A sentence, where conda packages are asked for and what solves them is not installed."""
    from importlib.util import find_spec  # asked only for an environment that is built

    if not needs_conda(definition) or find_spec("rattler") is not None:
        return None
    named = ", ".join(package for package in conda_packages(definition) if conda_name(package) not in PART_OF_ANY_PYTHON)
    return (
        f"{FIELD}: the conda packages {named} need a solver, which is not installed. Run `pip install 'mlflows[conda]'`, or ask for them "
        "as pip packages."
    )


def channels(definition: Mapping[str, Any]) -> list[str]:
    """Conda channels, the strongest first."""
    return list(_dependencies(definition).conda_channels)


def pip_lines(definition: Mapping[str, Any]) -> list[str]:
    """The lines for pip, options and packages, in order; without ``azureml-*``, and with what is in their place."""
    return [line for line in _expanded(_written(definition), "/") if not _is_ours(line)] + in_place_of_ours(definition)


def in_place_of_ours(definition: Mapping[str, Any]) -> list[str]:
    """What tables of datasets need of what the ``azureml-*`` packages would have brought."""
    return _for_tables(_dependencies(definition).conda_packages, list(_expanded(_written(definition), "/")))


def left_out(definition: Mapping[str, Any]) -> list[str]:
    """The ``azureml-*`` packages of a definition: every job has those names from mlflows itself."""
    conda = [package for package in _dependencies(definition).conda_packages if _is_ours(package)]
    return conda + [line for line in _expanded(_written(definition), "/") if _is_ours(line)]


def python_request(definition: Mapping[str, Any]) -> str | None:
    """The version or condition asked for: ``3.8.13``, ``>=3.6,<3.9``; None: any."""
    for package in _dependencies(definition).conda_packages:
        if conda_name(package) == "python":
            return _without_build(package) or None
    return None


def option_of(line: str) -> tuple[str, str]:
    """An option line as name and value: ``-f x``, ``--find-links=x`` and ``--find-links x`` are the same."""
    name, separator, value = line.partition("=") if re.match(r"--[\w-]+=", line) else line.partition(" ")
    if not separator and re.match(r"-[ifcer]\S", line):
        name, value = line[:2], line[2:]
    return name, value.strip()


def path_in(line: str) -> str | None:
    """The local file or folder that a line for pip names; None if it names none."""
    if line.startswith("-"):
        name, value = option_of(line)
        if IN_THE_FILE.get(name) not in _WITH_A_PATH and name not in ("-r", "--requirement"):
            return None
        return _local(value, anything=IN_THE_FILE.get(name) != "--find-links")
    direct = re.match(r"[\w.\-]+\s*(?:\[[^\]]*\])?\s*@\s*(file:\S+|[./~]\S*)", line)
    return _local(direct.group(1) if direct else line)


def localized(definition: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The definition with absolute paths in its lines for pip, and the lines of ``-r`` files in their place.

    A relative path is looked for here, then in ``folder``. Where nothing is to be changed the definition comes back as it is.
    """
    found = dict(definition)
    python = definition.get("python") or {}
    specification = python.get("condaDependencies") or {}
    dependencies = specification.get("dependencies") or []
    for index, item in enumerate(dependencies):
        if isinstance(item, Mapping) and isinstance(item.get("pip"), list) and all(isinstance(line, str) for line in item["pip"]):
            lines = list(_expanded([_absolute(line, folder) for line in item["pip"]], folder))
            if lines != item["pip"]:
                changed = [*dependencies[:index], {**item, "pip": lines}, *dependencies[index + 1 :]]
                found["python"] = {**python, "condaDependencies": {**specification, "dependencies": changed}}
            break
    return found


def check_form(definition: Mapping[str, Any]) -> None:
    """That the lists of packages are lists of packages.

    Raises:
        UserErrorException: they are not; see also CondaDependencies.
    """
    for item in _dependencies(definition).as_dict().get("dependencies") or []:
        _check_dependency(item)


def check_base(definition: Mapping[str, Any]) -> None:
    """That no environment is to be built on another one: what that holds is nobody's to hash, and may change at any time.

    Raises:
        UserErrorException: one is.
    """
    python = definition.get("python") or {}
    base = python.get("baseCondaEnvironment")
    if base and not python.get("userManagedDependencies"):
        raise UserErrorException(
            f"environment.python.base_conda_environment is set to {base!r}, and nothing is built on an environment that may change. Set it "
            f"to None, and name all packages in environment.python.conda_dependencies: Environment.from_existing_conda_environment(NAME, "
            f"{str(base)!r}) reads which those are."
        )


def check(definition: Mapping[str, Any]) -> None:
    """Everything that can be said against a definition without asking an index.

    Raises:
        UserErrorException: a line that pip or conda would not understand, a file that is not there, a version of python that is none or
            too old; the message names it and says what to write.
    """
    check_form(definition)
    check_base(definition)
    request = python_request(definition)
    if request is not None:
        conditions(request)
    for line in pip_lines(definition):
        _check_line(line)


def conditions(request: str) -> list[tuple[str, tuple[int, ...]]]:
    """A request for a python as operators and versions, all of which must hold; ``=`` is "begins with".

    Raises:
        UserErrorException: it is not a version, or allows no python from 3.6 on.
    """
    found = []
    for part in request.split(","):
        match = re.fullmatch(_CONDITION, part)
        if match is None:
            raise UserErrorException(
                f"{FIELD}: {request!r} is not a version of python. Write for instance 3.10 (set_python_version('3.10')) or >=3.8,<3.12."
            )
        operator, version, star = match.group(1) or "=", tuple(map(int, match.group(2).split("."))), match.group(3)
        found.append(("=" if operator == "==" and (star or len(version) < 3) else operator, version))
    if not any(satisfies((3, minor, micro), found) for minor in range(OLDEST_PYTHON[1], 30) for micro in range(30)):
        raise UserErrorException(f"{FIELD}: python {request}: a run needs python 3, from 3.6 on. Ask for instance for python=3.10.")
    return found


def satisfies(version: Sequence[int], wanted: Sequence[tuple[str, tuple[int, ...]]]) -> bool:
    """Whether a version of python meets all conditions."""
    return all(_meets(tuple(version), operator, other) for operator, other in wanted)


def _meets(version: tuple[int, ...], operator: str, other: tuple[int, ...]) -> bool:
    prefix, filled = version[: len(other)], other + (0,) * (len(version) - len(other))
    if operator == "=":
        return prefix == other
    if operator == "!=":
        return prefix != other
    if operator == "~=":
        return version >= filled and version[: len(other) - 1] == other[:-1]
    if operator in ("==", "==="):
        return version == filled
    return {">=": version >= filled, "<=": version <= filled, ">": version > filled and prefix != other, "<": version < filled}[operator]


def _dependencies(definition: Mapping[str, Any]) -> CondaDependencies:
    return CondaDependencies(_underlying_structure=(definition.get("python") or {}).get("condaDependencies") or {})


def _written(definition: Mapping[str, Any]) -> list[str]:
    """The lines for pip as they stand there; a line that is no text is told by ``check``."""
    for item in _dependencies(definition).as_dict().get("dependencies") or []:
        if isinstance(item, dict) and isinstance(item.get("pip"), list):
            return [_without_comment(line) for line in item["pip"] if isinstance(line, str) and _without_comment(line)]
    return []


def _without_comment(line: str) -> str:
    line = line.strip()
    return "" if line.startswith("#") else line.split(" #")[0].strip()


def _expanded(lines: Sequence[str], folder: str) -> Iterator[str]:
    """The lines, with those of requirement files in their place; a file that is not there stays a line."""
    for line in lines:
        name, value = option_of(line)
        path = os.path.join(folder, os.path.expanduser(value))
        if name not in ("-r", "--requirement") or not os.path.isfile(path):
            yield line
            continue
        try:
            # a package is looked for from here, as pip does, or beside the file
            yield from (_absolute(part, os.path.dirname(path)) for part in lines_of_file(path))
        except FileNotFoundError as error:
            raise UserErrorException(
                f"{FIELD}: {path} includes {error.filename}, which is not there. Give the path of a file on this machine.", error
            ) from error


def lines_of_file(path: str, _within: tuple[str, ...] = ()) -> Iterator[str]:
    """The lines of a requirement file, with those of the files it includes in their place; what ``-r`` and ``-c`` name lies beside it.

    Raises:
        FileNotFoundError: there is no such file, or one that it includes is not there.
        UserErrorException: one cannot be read, is no text, or includes itself.
    """
    real, folder = os.path.realpath(path), os.path.dirname(path)
    if real in _within:
        circle = " -> ".join([*_within[_within.index(real) :], real])
        raise UserErrorException(f"{path} includes itself by -r: {circle}. Remove one of these lines.")
    for line in files.read_text(path).replace("\\\n", " ").splitlines():
        line = _without_comment(line)
        name, value = option_of(line)
        if name in ("-r", "--requirement") and "://" not in value:
            yield from lines_of_file(os.path.join(folder, os.path.expanduser(value)), (*_within, real))
        elif line:
            yield files.beside(line, folder)


def _for_tables(conda: Iterable[str], pip: Iterable[str]) -> list[str]:
    """``azureml-dataset-runtime`` and ``azureml-dataprep`` stand for pandas and pyarrow. ``azureml-defaults`` and ``azureml-sdk`` bring
    the first of them, and with it pyarrow; they do not bring pandas, so pyarrow alone is of use where pandas is asked for.
    """
    names = {pip_name(line) for line in pip if not line.startswith("-") and path_in(line) is None and "://" not in line}
    wanted = ["pandas", "pyarrow"] if names & _RUNTIMES else ["pyarrow"] if names & _WITH_RUNTIME else []
    there = names | {conda_name(package) for package in conda}
    return [name for name in wanted if name not in there] if "pandas" in {*there, *wanted} else []


def _is_ours(requirement: str) -> bool:
    """Whether an index would be asked for a package of Azure ML; one that a person gives as a file is what that person wants."""
    if requirement.startswith("-") or path_in(requirement) is not None or "://" in requirement:
        return False
    name = pip_name(requirement.strip().rpartition("::")[2])
    return name == "azureml" or name.startswith("azureml-")


def _without_build(package: str) -> str:
    """The version part of a conda package: of ``python=3.8.13=h12debd9_0`` and ``conda-forge::python 3.8.13`` it is ``3.8.13``."""
    text = re.sub(r"^[^=<>!~\s\[]*\s*", "", package.strip().rpartition("::")[2])
    match = re.fullmatch(r"(=?)\s*([\w.*]+)[=\s]+[\w*]+", text)
    text = match.group(1) + match.group(2) if match else text
    return text[1:].strip() if re.match(r"=[^=]", text) else text.strip()


def _local(text: str, anything: bool = False) -> str | None:
    """The path in a requirement: ``./a.whl``, ``/a/b[extra]``, ``file:///a``."""
    text = re.sub(r"\[[\w.,\s\-]*\]$", "", text.partition(" --")[0].partition(" ;")[0].strip())
    if text.startswith("file:"):
        return unquote(urlsplit(text).path)
    if "://" in text or re.match(r"(git|hg|svn|bzr)\+", text):
        return None
    is_path = anything or text.startswith((".", "/", "~")) or text.lower().endswith(_ARCHIVES) or (os.sep in text and os.path.exists(text))
    return os.path.expanduser(text) if is_path else None


def _absolute(line: str, folder: str) -> str:
    """A line for pip with its relative path made absolute, as found from here or from ``folder``."""
    line = _without_comment(line)
    path = path_in(line)
    if line.startswith("-") and path is None and IN_THE_FILE.get(option_of(line)[0]) == "--find-links":
        path = option_of(line)[1] if "://" not in line else None
    if path is None or os.path.isabs(path) or "file:" in line:
        return line
    candidates = [os.path.abspath(path), os.path.normpath(os.path.join(folder, path))]
    found = next((candidate for candidate in candidates if os.path.exists(candidate)), candidates[0])
    if line.startswith("-"):
        return f"{option_of(line)[0]} {found}{option_of(line)[1][len(path) :]}"
    return line.replace(path, found, 1) if path in line else line.replace("~", os.path.expanduser("~"), 1)


def _check_dependency(item: Any) -> None:
    if isinstance(item, str):
        if not re.match(r"[A-Za-z0-9_][\w.\-]*", item.strip().rpartition("::")[2]):
            raise UserErrorException(
                f"{FIELD}: {masked(repr(item))} is not a conda package. Write a name and a version, such as numpy=1.21."
            )
        return
    if not isinstance(item, Mapping) or list(item) != ["pip"]:
        raise UserErrorException(
            f"{FIELD}: {masked(repr(item))} under dependencies is neither a conda package nor the list of pip packages. Write "
            "'numpy=1.21', or {'pip': ['numpy==1.21']}."
        )
    lines = item["pip"]
    if lines is not None and (not isinstance(lines, list) or not all(isinstance(line, str) for line in lines)):
        raise UserErrorException(
            f"{FIELD}: pip must be a list of lines of text, got {masked(repr(lines))}. Write for instance ['numpy==1.21']."
        )


def _check_line(line: str) -> None:
    if line.startswith("-"):
        _check_option(line)
    path = path_in(line)
    if path is not None:
        if not os.path.exists(path):
            raise UserErrorException(
                f"{FIELD}: {_hidden(line)!r}: there is no {path} (relative paths are looked for in the current folder and in "
                "source_directory). Give the path of a file on this machine."
            )
        return
    if line.startswith("-") or "://" in line:
        return
    _check_requirement(line)


def _check_option(line: str) -> None:
    name, value = option_of(line)
    if name in ("-r", "--requirement"):
        return  # a file that is there has been put in its place
    if name not in IN_THE_FILE and name not in ON_THE_COMMAND_LINE and name not in WITHOUT_EFFECT:
        raise UserErrorException(
            f"{FIELD}: pip option {name!r} is not known. Known are {', '.join(sorted({*IN_THE_FILE.values(), *ON_THE_COMMAND_LINE}))}."
        )
    flags = ("--no-index", "--pre", "--no-deps", "--require-hashes", "--no-build-isolation", "--no-cache-dir")
    if not value and name not in WITHOUT_EFFECT and name not in flags:
        raise UserErrorException(f"{FIELD}: pip option {name!r} has no value. Write it on the same line: {name} VALUE.")


def _check_requirement(line: str) -> None:
    if re.fullmatch(_PLAIN, line, re.ASCII):  # nearly all are
        return
    try:
        from packaging.requirements import InvalidRequirement, Requirement  # 15 ms that only an environment with packages pays
    except ImportError:  # in a job on an interpreter of the user's; uv says it later
        return
    try:
        Requirement(re.split(r"\s--", line)[0])
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        remedy = "Write two equal signs: 'numpy==1.21'." if re.search(r"[\w\]]\s*=[^=]", line) else "Write for instance 'numpy==1.21'."
        raise UserErrorException(f"{FIELD}: pip requirement {line!r} is not valid: {reason} {remedy}") from error


def _hidden(line: str) -> str:
    """A line without the name and password of an address in it."""
    return re.sub(r"://[^/@]+@", "://****@", line)
