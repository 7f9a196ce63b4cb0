"""What a person wants to know of an environment, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflows.environments import credentials, requirements


def summary(definition: Mapping[str, Any]) -> dict[str, str]:
    """Title -> text of one or several lines; what says nothing is left out. Secrets are references or ``****``.

    Raises:
        UserErrorException: the packages are no lists of packages.
    """
    definition = credentials.masked_definition(definition)
    requirements.check_form(definition)
    python, docker = definition.get("python") or {}, definition.get("docker") or {}
    context = (docker.get("buildContext") or {}).get("location")
    lines = {
        "Name": definition.get("name"),
        "Version": definition.get("version"),
        **(_their_own(python) if python.get("userManagedDependencies") else _packages(definition)),
        "Image": docker.get("baseDockerfile") or (f"built from the folder {context}" if context else docker.get("baseImage")),
        "Variables": "\n".join(f"{name}={value}" for name, value in (definition.get("environmentVariables") or {}).items()),
    }
    return {title: str(text) for title, text in lines.items() if text}


def as_html(definition: Mapping[str, Any]) -> str:
    """The same as a table, for notebooks."""
    from html import escape  # its tables of names are slow to load

    rows = "".join(
        f'<tr><th style="text-align:left">{title}</th><td style="text-align:left"><pre>{escape(text)}</pre></td></tr>'
        for title, text in summary(definition).items()
    )
    return f"<table>{rows}</table>"


def _their_own(python: Mapping[str, Any]) -> dict[str, str]:
    return {"Python": f"{python.get('interpreterPath') or 'python'}, looked after by its user"}


def _packages(definition: Mapping[str, Any]) -> dict[str, str]:
    needs_conda = requirements.needs_conda(definition)
    return {
        "Python": requirements.python_request(definition) or "any",
        "Conda": "\n".join(requirements.conda_packages(definition)),
        "Channels": ", ".join(requirements.channels(definition)) if needs_conda else "",
        "Pip": "\n".join(requirements.pip_lines(definition)),
        "Left out": ", ".join(requirements.left_out(definition)),
    }
