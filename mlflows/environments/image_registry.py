"""A container registry, asked over its HTTP interface: is an image there, without an engine and without downloading it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mlflows.exceptions import AuthenticationException, ServiceException, UserErrorException
from mlflows.rest import basic_auth

if TYPE_CHECKING:  # slow to import
    from http.client import HTTPResponse

SECONDS = 10.0
DOCKER_HUB = "docker.io"

_HUB_HOST = "registry-1.docker.io"
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ADDRESS = re.compile(r"(https?://)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:]+\])(:\d+)?(/[a-z0-9._/-]+)?")
_LOOPBACK = ("localhost", "127.", "[::1]")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Registry:
    """Where images are pushed to and found again.

    ``address`` is ``host[:port][/path]``, as in the name of an image; ``http://`` before it, or a loopback host, means no TLS.
    """

    address: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.address, str) or not _ADDRESS.fullmatch(self.address.rstrip("/")):
            raise UserErrorException(
                f"container_registry.address: {self.address!r} is not the address of a registry. Write host[:port][/path], "
                "for instance registry.example.org:5000/team."
            )

    @property
    def name(self) -> str:
        """The address as it stands in the name of an image."""
        return re.sub(r"^https?://", "", self.address).rstrip("/")

    @property
    def host(self) -> str:
        """Host and port."""
        return self.name.partition("/")[0]

    @property
    def logins(self) -> dict[str, tuple[str, str]]:
        """What the engine's command line needs to log in: host -> (user name, password); empty without a password."""
        return {self.host: (self.username or "", self.password)} if self.password else {}

    def digest_of(self, image: str, reference: str) -> str | None:
        """The digest of the manifest that a tag (or digest) means; None if the registry has none.

        Args:
            image: path of the image below the address, such as ``mlflows/env``.
            reference: its tag or digest.

        Raises:
            AuthenticationException: the registry refuses the user name and password.
            ServiceException: no answer, or one that is none of a registry.
        """
        path = self.name.partition("/")[2]
        repository = f"{path}/{image}" if path else image
        where = f"/v2/{repository}/manifests/{reference}"
        status, headers = self._send("HEAD", where, repository)
        if status == 404:
            return None
        if status in (401, 403):
            raise AuthenticationException(_refused(self))
        if status != 200:
            raise ServiceException(f"The registry {self.host} answered {status} to {where}.", status)
        return headers.get("docker-content-digest") or reference

    def _send(self, method: str, path: str, repository: str) -> tuple[int, dict[str, str]]:
        headers = {"Accept": ", ".join(_MANIFESTS)}
        if self.password:
            headers["Authorization"] = basic_auth(self.username or "", self.password)
        status, answered, _ = self._request(method, self._base() + path, headers)
        challenge = answered.get("www-authenticate", "")
        if status == 401 and challenge.lower().startswith("bearer "):
            headers["Authorization"] = "Bearer " + self._token(challenge, repository)
            status, answered, _ = self._request(method, self._base() + path, headers)
        return status, answered

    def _token(self, challenge: str, repository: str) -> str:
        """As the registry says in its answer: a token of another server, for reading this repository."""
        parts = dict(_CHALLENGE.findall(challenge))
        query = {"service": parts.get("service", ""), "scope": parts.get("scope") or f"repository:{repository}:pull"}
        headers = {"Authorization": basic_auth(self.username or "", self.password)} if self.password else {}
        status, _, body = self._request("GET", f"{parts.get('realm', '')}?{urlencode(query)}", headers)
        if status in (401, 403):
            raise AuthenticationException(_refused(self))
        try:
            answer = json.loads(body)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceException(f"The registry {self.host} gave no token (status {status}).", status) from error

    def _base(self) -> str:
        if self.address.startswith(("http://", "https://")):
            return self.address.partition("://")[0] + "://" + self.host
        if self.host in (DOCKER_HUB, "index.docker.io"):
            return "https://" + _HUB_HOST
        return ("http://" if self.host.startswith(_LOOPBACK) else "https://") + self.host

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        import http.client
        import urllib.error
        import urllib.request  # it knows the proxies of this machine

        request = urllib.request.Request(url, method=method)
        for name, value in headers.items():
            request.add_unredirected_header(name, value)  # whoever the registry points to gets no password
        proxies: dict[str, str] | None = {} if self.host.startswith(_LOOPBACK) else None
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler(proxies)).open(request, timeout=SECONDS) as response:
                return _parts(response)
        except urllib.error.HTTPError as error:
            with error:
                return _parts(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceException(
                f"container_registry: no answer from {self.host} ({getattr(error, 'reason', error)}). Check its address."
            ) from error


def split(image: str) -> tuple[str, str, str]:
    """Host, path and tag (or digest) of an image's name: ``ubuntu`` is ``docker.io``, ``library/ubuntu``, ``latest``."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    is_host = slash and (any(sign in first for sign in ".:") or first == "localhost")
    host, path = (first, rest) if is_host else (DOCKER_HUB, name)
    path, colon, tag = path.partition(":")
    if host == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return host, path, digest or (tag if colon else "latest")


def _parts(response: HTTPResponse | Any) -> tuple[int, dict[str, str], bytes]:
    return int(response.status), {name.lower(): value for name, value in response.headers.items()}, response.read()


def _refused(registry: Registry) -> str:
    if not registry.password:
        return (
            f"container_registry: {registry.host} wants a user name and password. Name a DockerRegistryCredentials block as "
            "container_registry.credentials in the workspace's config.json."
        )
    return (
        f"container_registry: {registry.host} refuses the user name {registry.username!r} with the password given. Correct them in the "
        "block that container_registry.credentials names."
    )
