"""A virtual environment, made by uv."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflows.environments import credentials, direct_urls, pip_settings, pythons, requirements
from mlflows.environments.conda_dependencies import conda_name, pip_name
from mlflows.environments.pythons import Python
from mlflows.environments.work import EnvironmentBuildError, Resolve, Work
from mlflows.exceptions import AzureMLException

FOLDER = "venv"
CONNECT_SECONDS = "5"
INDEXES = ("--index-url", "--extra-index-url", "--find-links", "--no-index")
USUAL = ("pip", 'setuptools<81; python_version < "3.12"', 'wheel; python_version < "3.12"')
"""As where conda or ``python -m venv`` makes it; a newer setuptools has no pkg_resources, which older scripts import."""
_REFERENCE = re.compile(r"\{\{\s*prefect\.blocks\.secret\.([A-Za-z0-9-]+)\s*\}\}")
_NO_SOLUTION = re.compile(r"^(\s*[×x] |error: |  ?hint: )")
_FRAME = re.compile(r"^[\s│├╰─▶×]+")
_REMEDY_FOR_PYTHON = (
    "Ask for one of these with conda_dependencies.set_python_version('X.Y'), install the one asked for on this machine, or, to have it "
    "from conda channels, `pip install 'mlflows[conda]'` and add a conda package."
)


def interpreter_in(folder: Path) -> Path:
    """The python of the environment made in a folder."""
    return folder / FOLDER / "bin" / "python"


def build(work: Work, definition: Mapping[str, Any], resolve: Resolve | None) -> Path:
    """Make ``venv/`` in the work's folder.

    Returns:
        Its python.

    Raises:
        EnvironmentBuildError: which requirement failed, and why.
        BuildStopped: see Work.run.
    """
    lines = requirements.pip_lines(definition)
    variables = uv_variables(work)
    target = interpreter_in(work.folder)
    _make(work, requirements.python_request(definition), target.parent.parent, variables)
    install(work, target, [*asked_of_conda(definition), *lines], resolve, variables)
    add_pip(work, target, lines, resolve, variables)
    return target


def install(work: Work, python: Path, lines: Sequence[str], resolve: Resolve | None, variables: Mapping[str, str]) -> None:
    """Install the lines into the environment of ``python``.

    Raises:
        EnvironmentBuildError: which requirement failed, and why.
    """
    options, text = [], []
    for line in lines:
        name, value = requirements.option_of(line)
        if line.startswith("-") and name in requirements.ON_THE_COMMAND_LINE:
            options += [requirements.ON_THE_COMMAND_LINE[name], *([value] if value else [])]
        elif line.startswith("-") and name in requirements.WITHOUT_EFFECT:
            work.say(f"pip's option {line} has no effect here.")
        elif line.startswith("-"):
            text.append(f"{requirements.IN_THE_FILE.get(name, name)} {value}".strip())
        else:
            text.append(line)
    if not any(not line.startswith("-") or line.startswith("--editable") for line in text):
        return
    work.say(f"Installing {', '.join(line for line in text if not line.startswith('-'))}")
    code, output = _installed(work, python, text, options, resolve, variables)
    if code != 0:
        raise EnvironmentBuildError(failure(lines, output))
    direct_urls.mask(python.parent.parent, work.masked)


def add_pip(work: Work, python: Path, lines: Sequence[str], resolve: Resolve | None, variables: Mapping[str, str]) -> None:
    """What every conda environment has and scripts count on, where the lines have not brought it; an index may lack it."""
    indexes = []
    for line in lines:
        name, value = requirements.option_of(line)
        if line.startswith("-") and requirements.IN_THE_FILE.get(name) in INDEXES:
            indexes.append(f"{requirements.IN_THE_FILE[name]} {value}".strip())
    code, output = _installed(work, python, [*indexes, *USUAL], [], resolve, variables, quiet=True)
    if code != 0:
        work.say(f"Without pip, which cannot be had: {reason_of(output)}")


def _installed(
    work: Work,
    python: Path,
    lines: Sequence[str],
    options: Sequence[str],
    resolve: Resolve | None,
    variables: Mapping[str, str],
    quiet: bool = False,
) -> tuple[int, str]:
    """uv's exit code and output. It reads the lines from a pipe: what is secret in them is in no file and no command line."""
    told = "\n".join(revealed(line, resolve, work) for line in lines) + "\n"
    command = [uv(), "pip", "install", "--python", str(python), "--break-system-packages", *options, "-r", "-"]
    uncached = {"UV_NO_CACHE": "1"} if any(map(credentials.in_path_or_query, lines)) else {}
    return work.run(command, {**variables, **uncached, **_index_of(lines, resolve, work)}, told, quiet)


def uv() -> str:
    """The path of uv.

    Raises:
        EnvironmentBuildError: there is none.
    """
    try:
        from uv import find_uv_bin  # here, since only a build needs it

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found:
            return found
        raise EnvironmentBuildError("uv, which makes environments, was not found. Install it: pip install uv.") from None


def uv_variables(work: Work) -> dict[str, str]:
    """How uv is to behave: plain output, and what this machine has set for pip."""
    found = {**pip_settings.variables(work.environment), "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    theirs = (value for name, value in work.environment.items() if name.startswith(("PIP_", "UV_")))
    work.hide(pip_settings.secrets_in(*theirs, *found.values()))
    return found


def secrets_in(definition: Mapping[str, Any]) -> list[str]:
    """The names of the Secret blocks that the lines for pip refer to."""
    return sorted({name for line in requirements.pip_lines(definition) for name in _REFERENCE.findall(line)})


def revealed(line: str, resolve: Resolve | None, work: Work) -> str:
    """The line with its secrets, which the log does not show from now on; what stands in an address is quoted."""

    def value(name: str) -> str:
        if resolve is None:
            raise EnvironmentBuildError(
                f"{requirements.FIELD}: there is nobody to ask for the Secret block {name!r} that {line!r} refers to."
            )
        try:
            secret = resolve(name)
        except AzureMLException as error:
            raise EnvironmentBuildError(f"{requirements.FIELD}: {error.message}", error) from error
        work.hide([secret])
        return secret

    return credentials.filled(line, value)


def _make(work: Work, request: str | None, folder: Path, variables: Mapping[str, str]) -> None:
    """An empty environment."""
    for python, note in _choices(request, work.environment):
        work.say(note)
        source = [python] if os.path.isabs(python) else [python, "--managed-python"]
        quick = {} if os.path.isabs(python) else {"UV_HTTP_RETRIES": "0", "UV_HTTP_CONNECT_TIMEOUT": CONNECT_SECONDS}
        command = [uv(), "venv", "--quiet", "--no-project", "--clear", "--python", *source, str(folder)]
        code, output = work.run(command, {**variables, **quick}, quiet=True)
        if code == 0:
            return
        if os.path.isabs(python):
            raise EnvironmentBuildError(f"{requirements.FIELD}: no environment can be made of {python}: {reason_of(output)}")
        work.say(f"Python {python} cannot be had: {reason_of(output)}")
    there = ", ".join(dict.fromkeys(".".join(map(str, python.version)) for python in pythons.installed(work.environment)))
    raise EnvironmentBuildError(
        f"{requirements.FIELD}: python {request} is not on this machine and cannot be fetched. There are {there}. {_REMEDY_FOR_PYTHON}"
    )


def _choices(request: str | None, environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """What uv is asked for, one after another, and why: the path of a python, or a version that uv is to fetch."""
    own = pythons.own()
    if request is None:
        return [(own.path, f"Python {own}")]
    wanted = requirements.conditions(request)
    if requirements.satisfies(own.version, wanted):
        return [(own.path, f"Python {own}")]
    there = pythons.installed(environment)
    exact = [python for python in there if requirements.satisfies(python.version, wanted)]
    if exact:
        return [(exact[0].path, f"Python {exact[0]}")]
    version = next((version for operator, version in wanted if operator in ("=", "==", "===", "~=")), None)
    fetched = ".".join(map(str, version)) if version else request
    choices = [(fetched, f"Python {fetched} is not on this machine: fetching it")]
    if version is not None and len(version) > 2:
        choices += [_nearest(python, request) for python in there if python.version[:2] == version[:2]][:1]
        if len(choices) == 1:
            minor = ".".join(map(str, version[:2]))
            choices.append((minor, f"Python {request} cannot be had: fetching the newest {minor}"))
            if request in requirements.PYTHON_BY_DEFAULT:
                choices.append((own.path, f"Python {own} is used in the place of {request}, which SDK v1 asks for where nobody does"))
    return choices


def _nearest(python: Python, request: str) -> tuple[str, str]:
    return python.path, f"Python {python} is used in the place of {request}, which is not on this machine"


def asked_of_conda(definition: Mapping[str, Any]) -> list[str]:
    """pip, setuptools and wheel where a version of them is asked for, in pip's words."""
    given = {pip_name(line) for line in requirements.pip_lines(definition) if not line.startswith("-")}
    found = []
    for package in requirements.conda_packages(definition):
        name = conda_name(package)
        match = re.fullmatch(
            r"(?:[\w\-/.]+::)?[\w\-]+\s*(==|=|>=|<=|~=|!=|<|>)\s*(\d[\w.]*?)(\.?\*)?(=\w+)?((?:,(?:>=|<=|!=|<|>)\d[\w.]*)*)", package
        )
        if name == "python" or name in given or match is None:
            continue
        operator, version, _, _, more = match.groups()
        found.append(f"{name}=={version}.*{more}" if operator == "=" else f"{name}{operator}{version}{more}")
    return found


def _index_of(lines: Sequence[str], resolve: Resolve | None, work: Work) -> dict[str, str]:
    """The index that the lines name, which uv would hold for weaker than what the machine has set."""
    found = {}
    for line in lines:
        name, value = requirements.option_of(line)
        if line.startswith("-") and requirements.IN_THE_FILE.get(name) == "--index-url":
            found["UV_DEFAULT_INDEX"] = revealed(value, resolve, work)
        if line.startswith("-") and name == "--no-index":
            found["UV_NO_INDEX"] = "1"
    return found


def failure(lines: Sequence[str], output: str) -> str:
    """Which of the lines uv could not install, and why, from what it printed."""
    reason = reason_of(output)
    # names as the reason has them, in whatever spelling
    words = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.sub(r"[-_.]+", "-", re.sub(r"[<>=!~@;,]", " ", reason.lower()))))
    named = [line for line in lines if not line.startswith("-") and _short_name(line) in words]
    what = f"the requirement {' and '.join(named)}" if named else "the pip packages"
    return f"{what} cannot be installed: {reason} Change {requirements.FIELD}."


def _short_name(line: str) -> str:
    return re.sub(r"[-_.]+", "-", pip_name(line))


def reason_of(output: str, most: int = 1500) -> str:
    """Why uv gave up, in one paragraph, without the frame it draws around it."""
    lines = [line for line in output.splitlines() if not line.startswith(("warning:", "Using Python", "DEBUG"))]
    first = next((index for index, line in enumerate(lines) if _NO_SOLUTION.match(line)), max(0, len(lines) - 10))
    text = " ".join(_FRAME.sub("", line).strip() for line in lines[first:]).strip()
    text = re.sub(r"[.:]? cause: ", ": ", re.sub(r"\s+", " ", text.removeprefix("error: ")))
    text = text if len(text) <= most else text[: most // 2] + " ... " + text[-most // 2 :]
    return text if text.endswith((".", "!", "?")) else text + "."
