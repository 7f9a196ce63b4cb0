"""Where the image of an environment is, and what it is called: what a known image needs, and no more, for it is asked by every run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflows.environments import credentials
from mlflows.environments.digest import digest
from mlflows.environments.engine import Engine
from mlflows.environments.image_registry import DOCKER_HUB, Registry, split
from mlflows.environments.work import Resolve
from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.settings import home

REPOSITORY = "mlflows/env"
ENVIRONMENT = "/azureml-envs/mlflows"
"""Where the environment is in an image, below the folder where SDK v1 has it."""
PYTHON = f"{ENVIRONMENT}/bin/python"

HUB_LOGIN = "https://index.docker.io/v1/"
"""What a login for Docker Hub is kept under."""


@dataclass(frozen=True)
class Base:
    """What the image is built on.

    ``image`` as the person wrote it; ``digest`` of its manifest where a registry or the engine knows it; ``user`` the user it runs as.
    """

    image: str
    digest: str | None = None
    user: str = ""

    @property
    def pinned(self) -> str:
        """The image by its digest where that is known."""
        if self.digest is None or "@" in self.image:
            return self.image
        folder, slash, name = self.image.rpartition("/")
        return f"{folder}{slash}{name.partition(':')[0]}@{self.digest}"


@dataclass(frozen=True)
class BuiltImage:
    """An image to run: its name, the engine's id of it, the path of python in it, the environment's digest.

    ``ours`` says that we built it: such an image finds a job's import path by itself, any other needs it in PYTHONPATH.
    """

    name: str
    id: str
    python: str
    digest: str
    ours: bool


class Search:
    """One environment's image: what it is called, and where it may be."""

    def __init__(
        self, engine: Engine | None, definition: Mapping[str, Any], registry: Registry | None, resolve: Resolve, *, ask_base: bool = True
    ) -> None:
        self.engine = engine
        self.definition = definition
        self.resolve = resolve
        self.docker = definition.get("docker") or {}
        self.base_image = _base_image(self.docker)
        self.base, fingerprint = self._find_base(ask_base)
        self.knows_base = self.base is None or fingerprint is not None
        self.as_it_is = bool((definition.get("python") or {}).get("userManagedDependencies") and self.base_image)
        self.digest = digest(definition, "image", base_digest=fingerprint)
        self.registry = None if self.as_it_is else registry
        self.tag = f"{REPOSITORY}:{self.digest}"
        self.name = self.tag if self.registry is None else f"{self.registry.name}/{self.tag}"
        if self.as_it_is:
            self.name = self.base_image or ""

    def in_engine(self) -> BuiltImage | None:
        """The image, if the engine has it and, with a registry, the registry has got it."""
        found = self.inspect(self.name)
        if found is None:
            return None
        repository = self.name.rpartition(":")[0] + "@"
        if self.registry is not None and not any(each.startswith(repository) for each in found.get("RepoDigests") or ()):
            return None
        return BuiltImage(self.name, str(found["Id"]), python_of(self.definition), self.digest, not self.as_it_is)

    def in_registry(self) -> bool:
        """Whether the workspace's registry has the image."""
        return self.registry is not None and self.registry.digest_of(REPOSITORY, self.digest) is not None

    def _find_base(self, ask: bool) -> tuple[Base | None, str | None]:
        """The base image as far as it is known without downloading it, and what tells it from others of its name.

        That is the digest its registry has for it, or its own id if no registry ever had it. Without ``ask``, and where the registry does
        not answer, it is the digest that it had when it was asked last.
        """
        if self.base_image is None:
            return None, None
        host, path, reference = split(self.base_image)
        found = self.inspect(self.base_image)
        if found is not None:
            digests = (each for each in found.get("RepoDigests") or () if split(each)[:2] == (host, path))
            known = next((each.partition("@")[2] for each in digests), None)
            return Base(self.base_image, known, user_of(found)), known or str(found["Id"])
        if reference.startswith("sha256:"):
            return Base(self.base_image, reference), reference
        last = _Remembered(self.base_image)
        if not ask:
            return Base(self.base_image, last.digest), last.digest
        user, password = self.base_login().get(HUB_LOGIN if host == DOCKER_HUB else host, (None, None))
        try:
            remote = Registry(host, user, password).digest_of(path, reference)
        except (ServiceException, UserErrorException):  # the engine has more to say, if it comes to that
            remote = last.digest
        if remote is not None and remote != last.digest:
            last.keep(remote)
        return Base(self.base_image, remote), remote

    def base_login(self) -> dict[str, tuple[str, str]]:
        settings = self.docker.get("baseImageRegistry") or {}
        if not settings.get("password"):
            return {}
        address = _bare(settings.get("address")).partition("/")[0] or DOCKER_HUB
        [block] = credentials.referred({"docker": {"baseImageRegistry": settings}})
        return {HUB_LOGIN if address == DOCKER_HUB else address: (settings.get("username") or "", self.resolve(block))}

    def inspect(self, image: str) -> dict[str, Any] | None:
        return None if self.engine is None else self.engine.inspect(image)

    def the_engine(self) -> Engine:
        assert self.engine is not None, "only described without an engine"
        return self.engine


class _Remembered:
    """The digest that the registry of a base image had for it when it was asked last."""

    def __init__(self, image: str) -> None:
        self._path = home() / "base-images" / hashlib.sha256(image.encode()).hexdigest()[:16]

    @property
    def digest(self) -> str | None:
        """None if it never was asked."""
        try:
            return self._path.read_text().strip() or None
        except OSError:
            return None

    def keep(self, digest: str) -> None:
        """From now on it is this one."""
        with contextlib.suppress(OSError):  # it is asked again
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.{threading.get_ident()}")
            temporary.write_text(digest + "\n")
            temporary.replace(self._path)


def python_of(definition: Mapping[str, Any]) -> str:
    """Path of the python in the image."""
    python = definition.get("python") or {}
    return (python.get("interpreterPath") or "python") if python.get("userManagedDependencies") else PYTHON


def _base_image(docker: Mapping[str, Any]) -> str | None:
    """The base image's name, with the address of base_image_registry unless it has one itself; None where a Dockerfile says."""
    image, address = docker.get("baseImage"), _bare((docker.get("baseImageRegistry") or {}).get("address"))
    if not image or docker.get("baseDockerfile") or docker.get("buildContext"):
        return None
    return str(image) if not address or image.startswith(f"{address}/") else f"{address}/{image}"


def _bare(address: str | None) -> str:
    return re.sub(r"^https?://", "", address or "").rstrip("/")


def user_of(inspected: Mapping[str, Any]) -> str:
    return str((inspected.get("Config") or {}).get("User") or "")
