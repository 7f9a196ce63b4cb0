"""An image that is not there: downloaded, built, pushed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from mlflows.environments import builds, dockerfile, image_build, image_errors
from mlflows.environments.dockerfile import Recipe
from mlflows.environments.engine import BUILDX, CLASSIC
from mlflows.environments.image_registry import DOCKER_HUB, Registry, split
from mlflows.environments.image_search import HUB_LOGIN, Base, BuiltImage, Search, user_of
from mlflows.environments.work import EnvironmentBuildError, Stopped, Work, Write
from mlflows.exceptions import ServiceException, UserErrorException

_ARCHITECTURES = {"x86_64": "amd64", "x64": "amd64", "aarch64": "arm64"}


def make(search: Search, again: Callable[[], Search], write: Write, stopped: Stopped) -> BuiltImage:
    """What ``search`` has not found in the engine, made by one of all who want it; ``again`` searches anew.

    Raises: see image.ensure_image.
    """
    if not search.knows_base:  # only the engine reaches its registry: once it has it, the digest is another
        since = time.time()
        with builds.locked(search.digest, write, stopped) as lock:
            builds.raise_failure(search.digest, since)
            with builds.working(search.digest, search.definition, write, stopped, lock) as work:
                Making(search).have_base(work)
        search = again()
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
        making = Making(search)
        with builds.working(search.digest, search.definition, write, stopped, lock) as work:
            return making.fetched(work, in_registry) or making.built(work)


class Making:
    """How one environment's image comes about."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._base = search.base

    def fetched(self, work: Work, in_registry: bool) -> BuiltImage | None:
        """The image from where it is: the person's own, the registry's, or one that was built before there was a registry."""
        if self._search.as_it_is or in_registry:
            self._pull(
                work, self._search.name, self._search.base_login() if self._search.registry is None else self._search.registry.logins
            )
            return self._there()
        if self._search.registry is not None and self._search.inspect(self._search.tag) is not None:
            return self._pushed(work)
        return None

    def built(self, work: Work) -> BuiltImage:
        """Build the image, and push it if there is a registry."""
        engine = self._search.the_engine()
        self.have_base(work)
        recipe = self.recipe(self._user_below(work))
        if recipe.secrets and engine.builder() == CLASSIC:
            raise UserErrorException("docker: " + dockerfile.CLASSIC_HAS_NO_SECRETS.format(names=", ".join(recipe.secrets)))
        secrets = {name: self._search.resolve(name) for name in recipe.secrets}
        with engine.logged_in(self._search.base_login()) as logged_in:
            code, output = image_build.run(work, logged_in, recipe, self._search.tag, self._platform(), secrets)
        if code != 0:
            raise EnvironmentBuildError(image_errors.of_build(output, self._search.definition))
        return self._there() if self._search.registry is None else self._pushed(work)

    def recipe(self, user: str = "") -> Recipe:
        """The build context; ``user`` as in dockerfile.render."""
        builder = BUILDX if self._search.engine is None else self._search.engine.builder()
        return dockerfile.render(
            self._search.definition,
            digest=self._search.digest,
            base=self._base,
            buildkit=builder != CLASSIC,
            arguments=image_build.package_settings(),
            user=user,
        )

    def _pushed(self, work: Work) -> BuiltImage:
        assert self._search.registry is not None
        engine = self._search.the_engine()
        work.say(f"Pushing {self._search.name}")
        engine.run(work, "tag", self._search.tag, self._search.name)
        with engine.logged_in(self._search.registry.logins) as logged_in:
            code, output = logged_in.run(work, "push", self._search.name)
        if code != 0:
            engine.ask("rmi", self._search.name)  # its name would say that the registry has it
            raise EnvironmentBuildError(image_errors.of_push(output, self._search.registry))
        return self._there()

    def _there(self) -> BuiltImage:
        found = self._search.in_engine()
        if found is None:
            raise EnvironmentBuildError(
                f"docker: the engine has no {self._search.name}, though nothing failed. Has somebody removed it? Try again."
            )
        return found

    def have_base(self, work: Work) -> None:
        """Download the base image if it is not there, so that what fails is told apart from what fails later, and its user is known."""
        if self._base is None:
            return
        found = self._search.inspect(self._base.pinned)
        if found is None:
            self._pull(work, self._base.pinned, self._search.base_login())
            found = self._search.inspect(self._base.pinned) or {}
        elif "Descriptor" in found and not self._in_its_registry(self._base):
            # an engine that keeps images in containerd has a digest for each, also for what no registry knows: not to be built upon
            self._base = Base(self._base.image)
        if self._base.pinned != self._base.image and self._search.inspect(self._base.image) is None:
            # pulled by its digest it has no name: the next one who asks for it would not find it here
            self._search.the_engine().ask("tag", self._base.pinned, self._base.image)
        self._base = Base(self._base.image, self._base.digest, user_of(found))

    def _in_its_registry(self, base: Base) -> bool:
        """Whether the registry of a base image says that it has this digest."""
        host, path, _ = split(base.image)
        user, password = self._search.base_login().get(HUB_LOGIN if host == DOCKER_HUB else host, (None, None))
        try:
            return base.digest is not None and Registry(host, user, password).digest_of(path, base.digest) is not None
        except (ServiceException, UserErrorException):
            return False

    def _user_below(self, work: Work) -> str:
        """Whom the image runs as that a Dockerfile of the person is built on; it is downloaded to know. Empty if it cannot be known."""
        image = dockerfile.image_below(self._search.definition)
        if image is None:
            return ""
        found = self._search.inspect(image)
        if found is None:
            work.say(f"Pulling {image}")
            with self._search.the_engine().logged_in(self._search.base_login()) as engine:
                engine.run(work, "pull", *self._platform(), image)  # the build says what is wrong with it
            found = self._search.inspect(image)
        return user_of(found or {})

    def _pull(self, work: Work, image: str, logins: Mapping[str, tuple[str, str]]) -> None:
        work.say(f"Pulling {image}")
        with self._search.the_engine().logged_in(logins) as engine:
            code, output = engine.run(work, "pull", *self._platform(), image)
        if code != 0:
            raise EnvironmentBuildError(image_errors.of_pull(output, image))

    def _platform(self) -> list[str]:
        """The option for the platform, if it is not the engine's own."""
        wanted = self._search.docker.get("platform") or {}
        system, architecture = str(wanted.get("os") or "linux").lower(), str(wanted.get("architecture") or "amd64").lower()
        architecture = _ARCHITECTURES.get(architecture, architecture)
        return [] if (system, architecture) == self._search.the_engine().platform() else [f"--platform={system}/{architecture}"]
