"""How an environment of this machine would be made: the very steps of a build, noted down and not taken."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflows.environments import builds, conda_prefix, requirements, venv
from mlflows.environments.digest import digest
from mlflows.environments.job_path import PTH_LINE, PTH_NAME
from mlflows.environments.work import Work, never, silent

_PUT = f"import pathlib, sys, sysconfig; pathlib.Path(sysconfig.get_path('purelib'), {PTH_NAME!r}).write_text(sys.stdin.read())"
_OF_OUTPUT = ("NO_COLOR", "UV_NO_PROGRESS")
"""Variables that change nothing but how it looks."""
_OPTIONAL = "\n".join([*venv.USUAL, ""])
"""What venv.add_pip asks for."""
_SECRET, _SECRETS_END = "mlflows-secret-of-the-block-", "-until-here"


@dataclass(frozen=True)
class Step:
    """A command: why, its words, its variables besides this process's, and what it reads. Secrets are references, passwords ``****``.

    ``may_fail``: the environment is good without it, too.
    """

    notes: Sequence[str]
    command: Sequence[str]
    variables: Mapping[str, str]
    told: str
    may_fail: bool


def steps(definition: Mapping[str, Any]) -> list[Step]:
    """The steps that builds.ensure would take here for a definition with absolute paths and without secrets.

    Raises:
        UserErrorException: the definition cannot be right.
    """
    requirements.check(definition)
    work = _Noted(builds.folder_of(digest(definition, "venv")))
    if requirements.needs_conda(definition):
        conda_prefix.solve(work, definition, _placeholder)
        conda_prefix.add_pip_packages(work, definition, _placeholder)
        python = conda_prefix.interpreter_in(work.folder)
    else:
        python = venv.build(work, definition, _placeholder)
    work.say("The import path of jobs")
    work.run([str(python), "-c", _PUT], told=PTH_LINE + "\n")
    return work.steps


def as_shell(found: Sequence[Step]) -> str:
    """Steps as a shell script."""
    with_variables = [step.variables.items() for step in found if step.variables]
    common = dict(sorted(set.intersection(*map(set, with_variables)))) if with_variables else {}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in common.items()]
    for step in found:
        lines += [f"# {note}" for note in step.notes]
        own = [f"{name}={shlex.quote(value)}" for name, value in step.variables.items() if common.get(name) != value]
        words = [*own, shlex.join(step.command), *(["<<'END'"] if step.told else []), *(["|| true"] if step.may_fail else [])]
        lines += [" ".join(words), *([step.told.rstrip(), "END"] if step.told else [])]
    return "\n".join(lines) + "\n"


class _Noted(Work):
    """A build in which every command succeeds, since none is run."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder / builds.LOG, silent, never, -1)
        self.steps: list[Step] = []
        self._notes: list[str] = []

    def hide(self, secrets: object) -> None:
        """There are none, but for this machine's own, which ``masked`` finds in their addresses."""

    def say(self, line: str) -> None:
        self._notes.append(self._shown(line))

    def run(self, command: Sequence[str], environment: Mapping[str, str] = {}, told: str = "", quiet: bool = False) -> tuple[int, str]:
        variables = {name: self._shown(value) for name, value in environment.items() if name not in _OF_OUTPUT}
        may_fail = told.endswith(_OPTIONAL)
        self.steps.append(Step(self._notes, [self._shown(word) for word in command], variables, self._shown(told), may_fail))
        self._notes = []
        return 0, ""

    def _shown(self, text: str) -> str:
        first, *others = text.split(_SECRET)
        for part in others:
            name, _, rest = part.partition(_SECRETS_END)
            first += f"{{{{ prefect.blocks.secret.{name} }}}}{rest}"
        return self.masked(first)


def _placeholder(name: str) -> str:
    """Stands for the secret of a block where its value would be; no character of it changes in an address."""
    return f"{_SECRET}{name}{_SECRETS_END}"
