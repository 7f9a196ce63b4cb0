"""Secrets: references in Prefect's own form, resolved at the last moment by the home."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlflows.exceptions import UserErrorException

REFERENCE = re.compile(r"^\s*\{\{\s*prefect\.blocks\.secret\.([A-Za-z0-9-]+)\s*\}\}\s*$")


def is_reference(value: str) -> bool:
    """Whether a variable's value is a reference to a secret."""
    return value.lstrip().startswith("{{") and value.rstrip().endswith("}}")


async def resolve_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """The values of those variables that are references; the others are not in the answer.

    Raises:
        UserErrorException: the reference is malformed or there is no such Secret block; names the variable, never a value.
    """
    return {name: await _value(name, value) for name, value in variables.items() if is_reference(value)}


async def _value(variable: str, reference: str) -> str:
    from prefect.blocks.system import Secret

    match = REFERENCE.match(reference)
    if match is None:
        raise UserErrorException(
            f"Environment variable {variable}: {reference!r} is not a reference this package knows; "
            "write {{ prefect.blocks.secret.NAME }} and save a Secret block of that name"
        )
    try:
        block: Any = await Secret.aload(match.group(1))
    except ValueError as error:
        raise UserErrorException(
            f"Environment variable {variable}: there is no Secret block named {match.group(1)!r}; "
            f'save it with Secret(value=...).save("{match.group(1)}")'
        ) from error
    return str(block.value.get_secret_value())  # get() would decode a secret that looks like JSON
