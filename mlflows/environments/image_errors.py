"""What a failed build, pull or push means, in a sentence with a remedy: the engine's own words are for those who know it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlflows.environments import dockerfile, requirements, venv
from mlflows.environments.image_registry import Registry


def _any(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE | re.MULTILINE)


_PREFIX = re.compile(r"^#\d+ (?:[\d.]+ )?")
"""BuildKit's number of the step, and its seconds."""
_SYNTAX = re.compile(r"dockerfile parse error(?: on)? line (\d+): (.+)", re.IGNORECASE)
_SYNTAX_ELSEWHERE = re.compile(r"(?:unknown instruction|no build stage in current context)[^\n]*", re.IGNORECASE)
_NO_SPACE = _any("no space left on device")
_REFUSED = _any("unauthorized", "authentication required", "no basic auth credentials", "incorrect username or password", "denied: ")
_NOT_FOUND = _any(
    *("manifest unknown", r"manifest for \S+ not found", "not found: manifest", "pull access denied", "repository does not exist"),
    *(r": not found\b", "name unknown", "invalid reference format"),
)
_AWAY = _any(
    *("no such host", "connection refused", "i/o timeout", "network is unreachable", "TLS handshake", "certificate"),
    "server gave HTTP response to HTTPS client",
)
_COPY = _any(
    r"(?:COPY|ADD) failed: ([^\n]+)", r"failed to (?:compute cache key|calculate checksum of ref)[^\n\"]*(\"[^\n]+?)(?:: not found)?$"
)
_STEP = _any("returned a non-zero code", "did not complete successfully", "executor failed running")
_NO_NETWORK = _any("Temporary failure in name resolution", "dns error", "failed to lookup address", "Could not resolve")
_NO_PYTHON = re.compile(r"python-build-standalone|No interpreter found|No download found", re.IGNORECASE)
_NO_SOLUTION = re.compile(r"^\s*(?:[×x] |error: )", re.MULTILINE)
"""How uv begins to say why it gave up."""
_ENGINES = ("The command '", "Removing intermediate", " --->", "---> ")
"""How lines begin that the classic builder adds to what a step says."""
_CLASSIC_STEP = "---> Running in "
_NO_SPACE_REMEDY = "the disk of the container engine is full. Make space, for instance with `docker system prune`, and try again."


def of_build(output: str, definition: Mapping[str, Any]) -> str:
    """Why a build failed."""
    text = plain(output)
    if _NO_SPACE.search(text):
        return f"docker: {_NO_SPACE_REMEDY}"
    for marker, remedy in _MARKERS.items():
        # the command itself, which an engine repeats, has the marker, too: it is followed by a quote there
        if re.search(rf"^{re.escape(marker)}\s*$", text, re.MULTILINE):
            return f"{_field(definition)}: {marker.partition(': ')[2]}, which installs the packages. {remedy}"
    syntax = _syntax(text)
    if syntax:
        return f"{_field(definition)}: {syntax}"
    found = _COPY.search(text)
    if found:
        return (
            f"{_field(definition)}: a file that is to be copied is not in the build context: {(found.group(1) or found.group(2)).strip()}."
        )
    if not _STEP.search(text):
        below = dockerfile.image_below(definition)
        image = below or (definition.get("docker") or {}).get("baseImage") or "the image after FROM"
        return of_pull(text, image, _field(definition) if below else "docker.base_image")
    return _of_step(output, definition)


def of_pull(output: str, image: str, field: str = "docker.base_image") -> str:
    """Why an image could not be downloaded; ``field`` is where it is named."""
    text = plain(output)
    if _NO_SPACE.search(text):
        return f"docker: {_NO_SPACE_REMEDY}"
    if _NOT_FOUND.search(text):  # registries say "denied" of what is not there, too
        return (
            f"{field}: {image} was not found, or may not be read without a password. Check its name and tag; for a private "
            "registry set docker.base_image_registry.address, username and password."
        )
    if _REFUSED.search(text):
        return (
            f"{field}: the registry of {image} refuses the user name and password. Correct docker.base_image_registry.username "
            "and the secret that its password refers to."
        )
    if _AWAY.search(text):
        return f"{field}: the registry of {image} cannot be reached: {last_line(text)} Check the name of the image and the network."
    return f"{field}: {image} cannot be had: {last_line(text)}"


def of_push(output: str, registry: Registry) -> str:
    """Why an image could not be pushed."""
    text = plain(output)
    if _NO_SPACE.search(text):
        return f"container_registry: there is no space left in the registry {registry.host}, or for the container engine. Make space."
    if _REFUSED.search(text):
        who = (
            f"refuses the user name {registry.username!r} with the password given"
            if registry.password
            else "wants a user name and password"
        )
        return (
            f"container_registry: {registry.host} {who}, or the user may not write there. Correct the block that "
            "container_registry.credentials names in the workspace's config.json."
        )
    return f"container_registry: the image cannot be pushed to {registry.host}: {last_line(text)} Check its address, and whether it runs."


def plain(output: str) -> str:
    """What was printed, without the numbers that BuildKit puts before every line."""
    return "\n".join(_PREFIX.sub("", line) for line in output.splitlines())


def last_line(text: str) -> str:
    """The last line that says something, as a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else "it does not say why"
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _of_step(output: str, definition: Mapping[str, Any]) -> str:
    """Why a step failed: one of ours, known by its command, which the engine repeats, or one of the person's."""
    command = next(line for line in reversed(output.splitlines()) if _STEP.search(line))
    said = _said_by_step(output)
    text = "\n".join(said)
    end = " ".join(said[-5:])[-800:].rstrip(".") + "."
    is_conda, is_pip = "conda_solver.py" in command, f"{dockerfile.UV} " in command
    if is_pip and _NO_PYTHON.search(text):
        request = requirements.python_request(definition)
        return (
            f"{requirements.FIELD}: the image has no python {request}, and it cannot be fetched during the build. Use an image that "
            "has it, or ask for the one that the image has (set_python_version)."
        )
    if is_conda and _NO_SOLUTION.search(text):
        return f"the conda packages cannot be installed: {venv.reason_of(text)} Change {requirements.FIELD}."
    if _NO_NETWORK.search(text):
        return f"docker: a step of the build could not reach the network: {end} Check the containers' network, and the proxies."
    if is_pip and _NO_SOLUTION.search(text):
        return venv.failure(requirements.pip_lines(definition), text)
    return f"{_field(definition)}: a step of the build failed: {end}"


def _said_by_step(output: str) -> list[str]:
    """The lines of the step that failed, without what the engine adds."""
    failed = re.findall(r"^#(\d+) ERROR", output, re.MULTILINE)
    if failed:  # BuildKit has numbers for its steps, and may run several at once
        lines = re.findall(rf"^#{failed[-1]} \d+\.\d+ (.*)$", output, re.MULTILINE)
    else:
        lines = output.rpartition(_CLASSIC_STEP)[2].splitlines()[1:]
    return [line.rstrip() for line in lines if line.strip() and not line.startswith(_ENGINES)]


def _syntax(text: str) -> str:
    found = _SYNTAX.search(text)
    if found:
        return f"line {found.group(1)} of the Dockerfile is not right: {found.group(2).strip().rstrip('.')}. Correct it."
    found = _SYNTAX_ELSEWHERE.search(text)
    return f"the Dockerfile is not right: {found.group().strip().rstrip('.')}. Correct it." if found else ""


def _field(definition: Mapping[str, Any]) -> str:
    docker = definition.get("docker") or {}
    if (docker.get("buildContext") or {}).get("location"):
        return "docker.build_context"
    return "docker.base_dockerfile" if docker.get("baseDockerfile") else f"docker.base_image: {docker.get('baseImage')}"


_MARKERS = {
    dockerfile.NO_PYTHON: "Use an image that has python3, or put it there: a base_dockerfile with the line "
    "`RUN apt-get update && apt-get install -y python3 python3-venv python3-pip` after FROM.",
    dockerfile.NO_PIP: "Use an image that has pip, or put it there: a base_dockerfile with the line "
    "`RUN apt-get update && apt-get install -y python3-venv python3-pip` after FROM.",
}
"""What our own steps print -> what to do."""
