"""What this machine has set for pip (PIP_* variables, pip.conf), as the variables by which uv takes it.

What is set for uv itself is stronger.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlflows.environments import credentials

_AS_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
MACHINE_FILE = Path("/etc/pip.conf")
_OLDER = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
"""uv's older names: who uses one means the newer."""
_SHORTEST_TOKEN = 8
"""Characters."""


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """For uv, on top of ``environment``."""
    found = {}
    for name, value in _settings(environment).items():
        variable = _AS_UV[name]
        if value and not environment.get(variable) and not environment.get(_OLDER.get(variable, "")):
            found[variable] = value
    # pip takes the best version of all indexes, and conda files are written for pip
    if not environment.get("UV_INDEX_STRATEGY"):
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


def secrets_in(*values: str) -> list[str]:
    """Passwords, tokens and signatures in settings: addresses, separated by spaces or commas, of uv's perhaps with a name before them.

    A user name that stands alone may be a token; one such as ``aws``, for which a keyring has the password, is too short for that.
    """
    return [secret for value in values for part in re.split(r",(?=\w+://)", value) for secret in credentials.in_text(part, _SHORTEST_TOKEN)]


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """By pip's long names; several values are separated by a space, of find-links by a comma, as uv reads them."""
    found: dict[str, str] = {}
    for path in _files(environment):
        found.update(_read(path))
    for name in _AS_UV:
        value = environment.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            found[name] = value
    if "find-links" in found:  # uv refuses a folder that is not there, pip does not mind
        found["find-links"] = ",".join(place for place in found["find-links"].split() if "://" in place or Path(place).exists())
    return {name: " ".join(value.split()) for name, value in found.items() if not _is_off(value)}


def _is_off(value: str) -> bool:
    return value.strip().lower() in ("false", "0", "no", "off", "")


def _read(path: Path) -> dict[str, str]:
    import configparser  # only where there is such a file

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):  # pip will complain to whoever calls it
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update({name.replace("_", "-"): value for name, value in parser.items(section)})
    return {name: value for name, value in found.items() if name in _AS_UV}


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    """pip's own places, the weakest first."""
    chosen = environment.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    shared = [Path(folder, "pip", "pip.conf") for folder in reversed((environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"))]
    person = [home / ".pip" / "pip.conf", Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"]
    places = [*shared, MACHINE_FILE, *person, Path(sys.prefix) / "pip.conf", *([Path(chosen)] if chosen else [])]
    yield from (place for place in places if place.is_file())
