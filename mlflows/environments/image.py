"""Images of environments: found again in milliseconds, in the engine or the registry, and built once where they are not.

An image is ``mlflows/env:<digest of the environment>``, with the address of the workspace's registry before it if there is one. Whoever
has the digest has the image: nothing else decides whether one is built.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflows import blocks
from mlflows.environments import builds, credentials, dockerfile, image_build, image_errors, requirements
from mlflows.environments.digest import digest
from mlflows.environments.dockerfile import Base, Recipe
from mlflows.environments.engine import BUILDX, CLASSIC, Engine, EngineError
from mlflows.environments.image_registry import DOCKER_HUB, Registry, split
from mlflows.environments.work import EnvironmentBuildError, Resolve, Stopped, Work, Write, never, silent
from mlflows.exceptions import ServiceException, UserErrorException
from mlflows.rest import RestClient
from mlflows.settings import home

REPOSITORY = "mlflows/env"
CREDENTIALS_KIND = "docker-registry-credentials"
"""Slug of prefect-docker's block with a registry's user name and password."""

_HUB_LOGIN = "https://index.docker.io/v1/"
"""What a login for Docker Hub is kept under."""
_ARCHITECTURES = {"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64"}


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


@dataclass(frozen=True)
class Description:
    """What an image is called, whether it is there, and the Dockerfile it is built by, if it is."""

    name: str
    exists: bool
    dockerfile: str | None


def ensure_image(
    definition: Mapping[str, Any],
    *,
    registry: Registry | None = None,
    resolve: Resolve | None = None,
    write: Write = silent,
    stopped: Stopped = never,
) -> BuiltImage:
    """The image of an environment: the one that is there, in the engine or in the registry, else a new one.

    Args:
        definition: in the form of azureml_environment.json.
        registry: where images are found again and pushed to.
        resolve: gives the value of a Secret block that the definition refers to.
        write: gets the output, line by line, secrets masked.
        stopped: asked ten times a second; True ends the build.

    Raises:
        UserErrorException: the definition cannot be right.
        EngineError: no engine, or it does not run.
        EnvironmentBuildError: what failed, why, and where the log is.
        AuthenticationException: the registry refuses the user name and password.
        ServiceException: the registry does not answer.
        BuildStopped: ``stopped`` said so.
    """
    definition, resolve = _without_secrets(definition, resolve)
    engine = Engine.find()
    search = _Search(engine, definition, registry, resolve)
    found = search.in_engine()
    if found is None and not search.knows_base:  # only the engine reaches its registry: once it has it, the digest is another
        since = time.time()
        with builds.locked(search.digest, write, stopped) as lock:
            builds.raise_failure(search.digest, since)
            with builds.working(search.digest, definition, write, stopped, lock) as work:
                search.have_base(work)
        search = _Search(engine, definition, registry, resolve)
        found = search.in_engine()
    if found is not None:
        return found
    since, in_registry = time.time(), search.in_registry()
    with builds.locked(search.digest, write, stopped) as lock:
        found = search.in_engine()
        if found is not None:
            write(f"The image {found.name} is ready.\n")
            return found
        builds.raise_failure(search.digest, since)
        with builds.working(search.digest, definition, write, stopped, lock) as work:
            return search.fetched(work, in_registry) or search.built(work)


def describe(definition: Mapping[str, Any], *, registry: Registry | None = None, resolve: Resolve | None = None) -> Description:
    """What ``ensure_image`` would give; nothing is built or downloaded. Without an engine only the registry is asked.

    Raises:
        UserErrorException: the definition cannot be right.
        AuthenticationException, ServiceException: the registry refuses, or does not answer.
    """
    definition, resolve = _without_secrets(definition, resolve)
    try:
        engine: Engine | None = Engine.find()
        search = _Search(engine, definition, registry, resolve)
    except EngineError:
        search = _Search(None, definition, registry, resolve)
    exists = search.in_engine() is not None or search.in_registry()
    return Description(search.name, exists, None if search.as_it_is else search.recipe().dockerfile)


def render(definition: Mapping[str, Any]) -> Recipe | None:
    """The build context of an environment, as it would be built here; None if its image is used as it is.

    Raises:
        UserErrorException: the definition cannot be right.
    """
    definition, resolve = _without_secrets(definition, None)
    try:
        search = _Search(Engine.find(), definition, None, resolve)
    except EngineError:
        search = _Search(None, definition, None, resolve)
    return None if search.as_it_is else search.recipe()


def is_here(definition: Mapping[str, Any], engine: Engine, registry: Registry | None = None) -> bool:
    """Whether the engine has the image, as far as it knows itself: no registry is asked.

    Raises:
        UserErrorException: the definition cannot be right.
        EngineError: the engine does not answer.
    """
    definition, resolve = _without_secrets(definition, None)
    return _Search(engine, definition, registry, resolve, ask_base=False).in_engine() is not None


def registry_of(settings: Mapping[str, Any] | None, client: RestClient | None) -> Registry | None:
    """The registry that a workspace's ``container_registry`` names: ``{"address": ..., "credentials": <name of a block>}``.

    Raises:
        UserErrorException: no address, or there is no such block.
    """
    if not settings:
        return None
    address, block = settings.get("address"), settings.get("credentials")
    if not isinstance(address, str) or not address:
        raise UserErrorException("container_registry: the address is missing. Write {'address': 'host:port/path'}.")
    if not block:
        return Registry(address)
    found = blocks.find(client, CREDENTIALS_KIND, str(block)) if client is not None else None
    if found is None:
        raise UserErrorException(
            f"container_registry.credentials: there is no DockerRegistryCredentials block {block!r}. Save one: "
            f"DockerRegistryCredentials(username=..., password=..., registry_url=...).save({block!r}), from prefect_docker."
        )
    return Registry(address, str(found["data"].get("username") or ""), str(found["data"].get("password") or "") or None)


class _Search:
    """One environment's image: what it is called, where it may be, and how it comes about."""

    def __init__(
        self, engine: Engine | None, definition: Mapping[str, Any], registry: Registry | None, resolve: Resolve, *, ask_base: bool = True
    ) -> None:
        self._engine = engine
        self._definition = definition
        self._resolve = resolve
        self._docker = definition.get("docker") or {}
        self._base_image = _base_image(self._docker)
        self._base, fingerprint = self._find_base(ask_base)
        self.knows_base = self._base is None or fingerprint is not None
        self.as_it_is = bool((definition.get("python") or {}).get("userManagedDependencies") and self._base_image)
        self.digest = digest(definition, "image", base_digest=fingerprint)
        self._registry = None if self.as_it_is else registry
        self._tag = f"{REPOSITORY}:{self.digest}"
        self.name = self._tag if self._registry is None else f"{self._registry.name}/{self._tag}"
        if self.as_it_is:
            self.name = self._base_image or ""

    def in_engine(self) -> BuiltImage | None:
        """The image, if the engine has it and, with a registry, the registry has got it."""
        found = self._inspect(self.name)
        if found is None:
            return None
        repository = self.name.rpartition(":")[0] + "@"
        if self._registry is not None and not any(each.startswith(repository) for each in found.get("RepoDigests") or ()):
            return None
        return BuiltImage(self.name, str(found["Id"]), dockerfile.python_of(self._definition), self.digest, not self.as_it_is)

    def in_registry(self) -> bool:
        """Whether the workspace's registry has the image."""
        return self._registry is not None and self._registry.digest_of(REPOSITORY, self.digest) is not None

    def fetched(self, work: Work, in_registry: bool) -> BuiltImage | None:
        """The image from where it is: the person's own, the registry's, or one that was built before there was a registry."""
        if self.as_it_is or in_registry:
            self._pull(work, self.name, self._base_login() if self._registry is None else self._registry.logins)
            return self._there()
        if self._registry is not None and self._inspect(self._tag) is not None:
            return self._pushed(work)
        return None

    def built(self, work: Work) -> BuiltImage:
        """Build the image, and push it if there is a registry."""
        engine = self._the_engine()
        self.have_base(work)
        recipe = self.recipe(self._user_below(work))
        if recipe.secrets and engine.builder() == CLASSIC:
            raise UserErrorException("docker: " + dockerfile.CLASSIC_HAS_NO_SECRETS.format(names=", ".join(recipe.secrets)))
        secrets = {name: self._resolve(name) for name in recipe.secrets}
        with engine.logged_in(self._base_login()) as logged_in:
            code, output = image_build.run(work, logged_in, recipe, self._tag, self._platform(), secrets)
        if code != 0:
            raise EnvironmentBuildError(image_errors.of_build(output, self._definition))
        return self._there() if self._registry is None else self._pushed(work)

    def recipe(self, user: str = "") -> Recipe:
        """The build context; ``user`` as in dockerfile.render."""
        builder = BUILDX if self._engine is None else self._engine.builder()
        return dockerfile.render(
            self._definition,
            digest=self.digest,
            base=self._base,
            buildkit=builder != CLASSIC,
            arguments=image_build.package_settings(),
            user=user,
        )

    def _pushed(self, work: Work) -> BuiltImage:
        assert self._registry is not None
        engine = self._the_engine()
        work.say(f"Pushing {self.name}")
        engine.run(work, "tag", self._tag, self.name)
        with engine.logged_in(self._registry.logins) as logged_in:
            code, output = logged_in.run(work, "push", self.name)
        if code != 0:
            engine.ask("rmi", self.name)  # its name would say that the registry has it
            raise EnvironmentBuildError(image_errors.of_push(output, self._registry))
        return self._there()

    def _there(self) -> BuiltImage:
        found = self.in_engine()
        if found is None:
            raise EnvironmentBuildError(
                f"docker: the engine has no {self.name}, though nothing failed. Has somebody removed it? Try again."
            )
        return found

    def _find_base(self, ask: bool) -> tuple[Base | None, str | None]:
        """The base image as far as it is known without downloading it, and what tells it from others of its name.

        That is the digest its registry has for it, or its own id if no registry ever had it. Without ``ask``, and where the registry does
        not answer, it is the digest that it had when it was asked last.
        """
        if self._base_image is None:
            return None, None
        host, path, reference = split(self._base_image)
        found = self._inspect(self._base_image)
        if found is not None:
            digests = (each for each in found.get("RepoDigests") or () if split(each)[:2] == (host, path))
            known = next((each.partition("@")[2] for each in digests), None)
            return Base(self._base_image, known, _user(found)), known or str(found["Id"])
        if reference.startswith("sha256:"):
            return Base(self._base_image, reference), reference
        last = _Remembered(self._base_image)
        if not ask:
            return Base(self._base_image, last.digest), last.digest
        user, password = self._base_login().get(_HUB_LOGIN if host == DOCKER_HUB else host, (None, None))
        try:
            remote = Registry(host, user, password).digest_of(path, reference)
        except (ServiceException, UserErrorException):  # the engine has more to say, if it comes to that
            remote = last.digest
        if remote is not None and remote != last.digest:
            last.keep(remote)
        return Base(self._base_image, remote), remote

    def have_base(self, work: Work) -> None:
        """Download the base image if it is not there, so that what fails is told apart from what fails later, and its user is known."""
        if self._base is None:
            return
        found = self._inspect(self._base.pinned)
        if found is None:
            self._pull(work, self._base.pinned, self._base_login())
            found = self._inspect(self._base.pinned) or {}
        elif "Descriptor" in found and not self._in_its_registry(self._base):
            # an engine that keeps images in containerd has a digest for each, also for what no registry knows: not to be built upon
            self._base = Base(self._base.image)
        if self._base.pinned != self._base.image and self._inspect(self._base.image) is None:
            # pulled by its digest it has no name: the next one who asks for it would not find it here
            self._the_engine().ask("tag", self._base.pinned, self._base.image)
        self._base = Base(self._base.image, self._base.digest, _user(found))

    def _in_its_registry(self, base: Base) -> bool:
        """Whether the registry of a base image says that it has this digest."""
        host, path, _ = split(base.image)
        user, password = self._base_login().get(_HUB_LOGIN if host == DOCKER_HUB else host, (None, None))
        try:
            return base.digest is not None and Registry(host, user, password).digest_of(path, base.digest) is not None
        except (ServiceException, UserErrorException):
            return False

    def _user_below(self, work: Work) -> str:
        """Whom the image runs as that a Dockerfile of the person is built on; it is downloaded to know. Empty if it cannot be known."""
        image = dockerfile.image_below(self._definition)
        if image is None:
            return ""
        found = self._inspect(image)
        if found is None:
            work.say(f"Pulling {image}")
            with self._the_engine().logged_in(self._base_login()) as engine:
                engine.run(work, "pull", *self._platform(), image)  # the build says what is wrong with it
            found = self._inspect(image)
        return _user(found or {})

    def _pull(self, work: Work, image: str, logins: Mapping[str, tuple[str, str]]) -> None:
        work.say(f"Pulling {image}")
        with self._the_engine().logged_in(logins) as engine:
            code, output = engine.run(work, "pull", *self._platform(), image)
        if code != 0:
            raise EnvironmentBuildError(image_errors.of_pull(output, image))

    def _base_login(self) -> dict[str, tuple[str, str]]:
        settings = self._docker.get("baseImageRegistry") or {}
        if not settings.get("password"):
            return {}
        address = _bare(settings.get("address")).partition("/")[0] or DOCKER_HUB
        [block] = credentials.referred({"docker": {"baseImageRegistry": settings}})
        return {_HUB_LOGIN if address == DOCKER_HUB else address: (settings.get("username") or "", self._resolve(block))}

    def _platform(self) -> list[str]:
        """The option for the platform, if it is not the engine's own."""
        wanted = self._docker.get("platform") or {}
        system, architecture = str(wanted.get("os") or "linux").lower(), str(wanted.get("architecture") or "amd64").lower()
        architecture = _ARCHITECTURES.get(architecture, architecture)
        return [] if (system, architecture) == self._the_engine().platform() else [f"--platform={system}/{architecture}"]

    def _inspect(self, image: str) -> dict[str, Any] | None:
        return None if self._engine is None else self._engine.inspect(image)

    def _the_engine(self) -> Engine:
        assert self._engine is not None, "only described without an engine"
        return self._engine


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


def _without_secrets(definition: Mapping[str, Any], resolve: Resolve | None) -> tuple[dict[str, Any], Resolve]:
    """The definition with absolute paths and with references only, and who gives their values.

    Raises:
        UserErrorException: the definition cannot be right.
    """
    requirements.check_form(definition)
    referring, taken = credentials.taken_out(requirements.localized(definition, os.getcwd()))
    requirements.check(referring)

    def value(name: str) -> str:
        if name in taken:
            return taken[name]
        if resolve is None:
            raise UserErrorException(f"There is nobody to ask for the Secret block {name!r} that the environment refers to.")
        return resolve(name)

    return referring, value


def _base_image(docker: Mapping[str, Any]) -> str | None:
    """The base image's name, with the address of base_image_registry unless it has one itself; None where a Dockerfile says."""
    image, address = docker.get("baseImage"), _bare((docker.get("baseImageRegistry") or {}).get("address"))
    if not image or docker.get("baseDockerfile") or docker.get("buildContext"):
        return None
    return str(image) if not address or image.startswith(f"{address}/") else f"{address}/{image}"


def _bare(address: str | None) -> str:
    return re.sub(r"^https?://", "", address or "").rstrip("/")


def _user(inspected: Mapping[str, Any]) -> str:
    return str((inspected.get("Config") or {}).get("User") or "")
