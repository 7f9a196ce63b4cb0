"""One build by the engine: what it is told, and how secrets reach it without being written into anything that stays."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlflows.environments import credentials, dockerfile, pip_settings
from mlflows.environments.dockerfile import Recipe
from mlflows.environments.engine import BUILDX, CLASSIC, Engine
from mlflows.environments.work import EnvironmentBuildError, Work
from mlflows.exceptions import UserErrorException

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy")
"""Known to every builder, and kept in no image."""


def run(work: Work, engine: Engine, recipe: Recipe, tag: str, options: Sequence[str], secrets: Mapping[str, str]) -> tuple[int, str]:
    """Build an image; the exit code of the engine's command, and the end of its output.

    Args:
        work: gets the output, and keeps the Dockerfile beside its log.
        engine: logged in to where the base image is.
        recipe: the build context.
        tag: name of the image.
        options: more of them for the command.
        secrets: Secret block -> value, of all that the recipe needs.

    Raises:
        UserErrorException: the settings of pip have a password, and the builder has no place for it.
        EnvironmentBuildError: a file of the context cannot be read or written.
        BuildStopped: see Work.run.
    """
    builder, settings = engine.builder(), package_settings()
    work.hide([*secrets.values(), *pip_settings.secrets_in(*settings.values())])
    work.say(f"Building {tag} with {'the classic builder' if builder == CLASSIC else 'BuildKit'}")
    with tempfile.TemporaryDirectory(prefix="mlflows-image-") as name:
        folder, context = Path(name), Path(name, "context")
        context.mkdir()
        try:
            recipe.write(context)
            shutil.copyfile(context / "Dockerfile", work.folder / "Dockerfile")
        except (OSError, shutil.Error) as error:
            raise EnvironmentBuildError(
                f"docker: the build context cannot be made: {error}. Is every file there, and is there space?"
            ) from error
        variables = {**settings, "DOCKER_BUILDKIT": "0" if builder == CLASSIC else "1", "BUILDKIT_PROGRESS": "plain"}
        command = ["buildx", "build", "--load"] if builder == BUILDX else ["build"]
        command += _for_classic(settings) if builder == CLASSIC else _for_buildkit(recipe, secrets, settings, folder)
        command += [f"--build-arg={variable}" for variable in PROXIES if os.environ.get(variable)]
        return engine.run(work, *command, *options, f"--tag={tag}", str(context), variables=variables)


def package_settings() -> dict[str, str]:
    """Where packages come from, as set on this machine for pip or for uv, for both of them."""
    known = {**{name: value for name, value in os.environ.items() if value}, **pip_settings.variables(os.environ)}
    for pips, uvs in (("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")), ("PIP_EXTRA_INDEX_URL", ("UV_INDEX", "UV_EXTRA_INDEX_URL"))):
        known.setdefault(pips, next((known[name] for name in uvs if known.get(name)), ""))
    if not os.environ.get("UV_INDEX_STRATEGY"):  # the Dockerfile has it
        known.pop("UV_INDEX_STRATEGY", None)
    return {name: known[name] for name in dockerfile.PASSED_ON if known.get(name)}


def _for_classic(settings: Mapping[str, str]) -> list[str]:
    """The classic builder writes the value of an argument into the history of the image."""
    for name, value in settings.items():
        if pip_settings.secrets_in(value):
            raise UserErrorException("docker: " + dockerfile.CLASSIC_HAS_NO_SECRETS.format(names=name))
    return ["--force-rm", *(f"--build-arg={name}" for name in settings)]


def _for_buildkit(recipe: Recipe, secrets: Mapping[str, str], settings: Mapping[str, str], folder: Path) -> list[str]:
    """BuildKit shows a file to a step while it runs."""
    texts = {name: credentials.in_address(value) if name in recipe.in_addresses else value for name, value in secrets.items()}
    texts[dockerfile.SETTINGS] = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    options = []
    for number, (name, text) in enumerate(texts.items()):
        path = folder / f"secret-{number}"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        options.append(f"--secret=id={name},src={path}")
    certificates = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if certificates and os.path.isfile(certificates):
        options.append(f"--secret=id={dockerfile.CERTIFICATES},src={certificates}")
    return options
