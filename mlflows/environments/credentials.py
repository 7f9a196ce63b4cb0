"""Secrets in a definition: taken out before it goes anywhere, put back when something is installed.

A secret is the password of the base image's registry, the user's part of an address (``https://user:password@host``), what a query
gives an access by (``?sig=...``), or a channel's token (``/t/<token>/``), among pip's lines, conda's packages and its channels; and the
value of an environment variable whose name says so. In its place stands a reference to a Prefect Secret block, whose name says where the
secret is used, and never depends on its value. A block has the secret itself: what stands percent-encoded in an address is decoded when
it is taken out, and encoded by whoever writes it into an address.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from mlflows import blocks
from mlflows.exceptions import UserErrorException
from mlflows.rest import RestClient
from mlflows.spec import looks_secret, refers_to_secret

MASK = "****"

REFERENCE = re.compile(r"\{\{\s*prefect\.blocks\.secret\.([A-Za-z0-9-]+)\s*\}\}")
_PLACEHOLDER = re.compile(r"\$\{\w+\}|\*+")
"""pip's own way to leave a secret to the environment; what masked() has been over."""
_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?:(?P<user>[^\s/?#]*)@)?(?P<place>[^\s?#]*)(?P<rest>\S*)")
_QUERY = re.compile(r"(?P<before>[?&](?P<name>[\w.\-]+)=)(?P<value>[^&#\s]+)")
_CONDA_TOKEN = re.compile(r"(?P<before>/t/)(?P<value>[^/]+)(?=/)")
"""Anaconda's servers take a token as a part of a channel's path."""
_SIGNATURES = ("sig", "signature", "x-amz-signature", "x-goog-signature")
_WEB = ("http://", "https://", "git+http://", "git+https://", "hg+http://", "hg+https://", "svn+http://", "svn+https://")

_ALONE = " "
"""How the place of a token ends that stands where a user's name does."""

Replace = Callable[[str, str], str]
"""From the place of a secret and its value to what shall stand there."""


def taken_out(definition: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The definition with references in the place of secrets, and block name -> value. What is a reference already stays."""
    values: dict[str, str] = {}

    def keep(place: str, value: str) -> str:
        block = _block(place)
        number = 2
        while values.get(block, value) != value:  # two secrets for one place
            block, number = f"{_block(place)}-{number}", number + 1
        values[block] = value
        return blocks.secret_reference(block)

    return _with(definition, keep), values


def of_a_run(environment: str, variables: Mapping[str, str], key: Callable[[], bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """Variables of one run with references in the place of secrets, and block name -> value.

    Runs of one environment may have different values: here a block's name has a mark of its value, that nobody can test a guess
    against who does not know ``key``.
    """
    references = dict(variables)
    values: dict[str, str] = {}
    for container, name, place in _variables({"name": environment, "environmentVariables": references}):
        if not refers_to_secret(container[name]):
            mark = hashlib.blake2b(f"{place}\0{container[name]}".encode("utf-8", "surrogatepass"), key=key(), digest_size=4).hexdigest()
            block = f"{_block(str(place))}-{mark}"
            values[block], container[name] = container[name], blocks.secret_reference(block)
    return references, values


def put_back(definition: Mapping[str, Any], resolve: Callable[[str], str]) -> dict[str, Any]:
    """The definition with values in the place of references; ``resolve`` gives the value of a block. The inverse of taken_out, but that
    every address has its secrets percent-encoded.

    Variables stay as they are: nothing is installed with them, and a run resolves its own.
    """
    result = copy.deepcopy(dict(definition))
    for container, key, _ in _places(result):
        container[key] = filled(container[key], resolve)
    return result


def filled(text: str, resolve: Callable[[str], str]) -> str:
    """A text with values in the place of references; percent-encoded in an address, unless it is the whole address that is secret."""

    def value(match: re.Match[str]) -> str:
        secret = resolve(match.group(1))
        return in_address(secret) if "://" in text[: match.start()] else secret

    return REFERENCE.sub(value, text)


def in_path_or_query(line: str) -> bool:
    """Whether a line refers to a secret in an address, elsewhere than as user and password: there uv's cache keeps it."""
    return bool(REFERENCE.search(re.sub(r"://[^/]*@", "://", line).partition("://")[2]))


def in_address(secret: str) -> str:
    """A secret as a part of an address; one that is an address stays."""
    return secret if secret.startswith(("http://", "https://")) else quote(secret, safe="")


def referred(definition: Mapping[str, Any]) -> list[str]:
    """Names of the Secret blocks that a definition refers to, its variables aside."""
    found = (name for container, key, _ in _places(definition) for name in REFERENCE.findall(container[key]))
    return list(dict.fromkeys(found))


def from_prefect(client: RestClient) -> Callable[[str], str]:
    """What put_back resolves references by: the value of a Secret block of a Prefect server.

    Raises, when called:
        UserErrorException: there is no such block.
        ServiceException: the server refuses, or does not answer.
    """

    def resolve(block: str) -> str:
        found = blocks.find(client, blocks.SECRET, block)
        if found is None:
            raise UserErrorException(
                f"environment: there is no Secret block named {block!r} on the Prefect server. Submit the environment with its credentials "
                f'again, or save the block with Secret(value=...).save("{block}").'
            )
        return str(found["data"]["value"])

    return resolve


def store(client: RestClient, values: Mapping[str, str]) -> None:
    """Store what taken_out has taken out, each value in its Secret block.

    Raises:
        ServiceException: the server refuses, or does not answer.
    """
    for block, value in values.items():
        blocks.store_secret(client, block, value)


def in_text(text: str, shortest_token: int = 1) -> list[str]:
    """The secrets in a text's addresses, decoded; a user name that stands alone is one from ``shortest_token`` characters on."""
    found: list[str] = []

    def note(place: str, value: str) -> str:
        if not place.endswith(_ALONE) or len(value) >= shortest_token:
            found.append(value)
        return value

    _replaced(text, note)
    return found


def masked(text: str) -> str:
    """A text with ``****`` for the secrets in its addresses: what may be printed."""
    return _replaced(text, lambda place, value: MASK)


def masked_definition(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition that may be printed: ``****`` for its secrets, references as they are."""
    return _with(definition, lambda place, value: MASK)


def _with(definition: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    result = copy.deepcopy(dict(definition))
    for container, key, place in (*_places(result), *_variables(result)):
        if place is None:
            container[key] = _replaced(container[key], replace)
        elif not refers_to_secret(container[key]):
            container[key] = replace(place, container[key])
    return result


def _places(definition: Mapping[str, Any]) -> Iterator[tuple[Any, Any, str | None]]:
    """(container, key, place) of every string that may have a secret in it; place where the whole string is one."""
    docker, python = definition.get("docker") or {}, definition.get("python") or {}
    registry = docker.get("baseImageRegistry") or {}
    if isinstance(registry.get("password"), str) and registry["password"]:
        yield registry, "password", f"registry {registry.get('address') or 'docker.io'} {registry.get('username') or ''}"
    conda = python.get("condaDependencies") or {}
    for items in (conda.get("channels") or [], *_dependency_lists(conda.get("dependencies") or [])):
        yield from ((items, index, None) for index, item in enumerate(items) if isinstance(item, str))


def _variables(definition: Mapping[str, Any]) -> Iterator[tuple[Any, Any, str | None]]:
    variables = definition.get("environmentVariables") or {}
    for name, value in variables.items():
        if looks_secret(str(name)) and isinstance(value, str) and value:
            yield variables, name, f"variable {definition.get('name') or ''} {name}"


def _dependency_lists(dependencies: list[Any]) -> Iterator[list[Any]]:
    yield dependencies
    yield from (item["pip"] for item in dependencies if isinstance(item, dict) and isinstance(item.get("pip"), list))


def _replaced(text: str, replace: Replace) -> str:
    """A line with the secrets in its addresses replaced."""
    return _ADDRESS.sub(lambda match: _address(match, replace), _together(text)) if "://" in text else text


def _address(match: re.Match[str], replace: Replace) -> str:
    scheme, user, place, rest = match.group("scheme", "user", "place", "rest")
    where = scheme.lower() + _CONDA_TOKEN.sub("", place.partition("@")[0])

    def put(what: str, value: str) -> str:
        return _together(replace(f"{where} {what}", unquote(value))) if _is_value(value) else value

    def query(found: re.Match[str]) -> str:
        before, name, value = found.group("before", "name", "value")
        return before + put(name, value) if name.lower() in _SIGNATURES or looks_secret(name) else found.group()

    if user:
        name, colon, password = user.partition(":")
        if colon and password:
            user = f"{name}:{put(name, password)}"
        elif scheme.lower() in _WEB:  # there a token may stand alone; elsewhere, as in ssh://git@host, it is a name
            user = put("", name) + colon
    place = _CONDA_TOKEN.sub(lambda found: found.group("before") + put("token", found.group("value")), place)
    return f"{scheme}{user or ''}{'' if user is None else '@'}{place}{_QUERY.sub(query, rest)}"


def _together(text: str) -> str:
    """References without spaces: an address with one in it stays one word of its line."""
    return REFERENCE.sub(lambda match: f"{{{{prefect.blocks.secret.{match.group(1)}}}}}", text)


def _is_value(text: str) -> bool:
    return bool(text) and not _PLACEHOLDER.fullmatch(text) and not refers_to_secret(text)


def _block(place: str) -> str:
    """``environment-<host, path and user, as far as readable>-<8 hex of all of it>``."""
    readable = re.sub(r"^[a-z0-9+.\-]+://", "", place)
    return f"environment-{blocks.slug(readable, 48)}-{blocks.name_hash(place)}"
