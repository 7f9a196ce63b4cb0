"""A container registry's HTTP interface, against a small server that asks for passwords and tokens as registries do."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mlflows.environments.image_registry import Registry, split
from mlflows.exceptions import AuthenticationException, ServiceException, UserErrorException

DIGEST = "sha256:" + "b" * 64


class Server:
    """One image, ``team/env:1``. ``kind``: open, basic or bearer."""

    def __init__(self, kind: str) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                given = self.headers.get("Authorization")
                outer.asked.append((self.command, self.path, given))
                right = "Basic " + base64.b64encode(b"person:right").decode()
                if self.path.startswith("/token"):
                    self.answer(*((200, {}, json.dumps({"token": "t0k3n"}).encode()) if given == right else (401, {}, b"")))
                elif kind == "basic" and given != right:
                    self.answer(401, {"WWW-Authenticate": 'Basic realm="registry"'}, b"")
                elif kind == "bearer" and given != "Bearer t0k3n":
                    realm = f'Bearer realm="http://{outer.address}/token",service="registry",scope="repository:team/env:pull"'
                    self.answer(401, {"WWW-Authenticate": realm}, b"")
                elif self.path == "/v2/team/env/manifests/1":
                    self.answer(200, {"Docker-Content-Digest": DIGEST}, b"")
                else:
                    self.answer(500 if "broken" in self.path else 404, {}, b"")

            do_HEAD = do_GET

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(getattr(request, "param", "open"))
    yield made
    made.close()


def test_found_and_not_found(server: Server) -> None:
    registry = Registry(f"{server.address}/team")
    assert registry.digest_of("env", "1") == DIGEST
    assert registry.digest_of("env", "2") is None
    assert [(method, path) for method, path, _ in server.asked] == [
        ("HEAD", "/v2/team/env/manifests/1"),
        ("HEAD", "/v2/team/env/manifests/2"),
    ]


@pytest.mark.parametrize("server", ["basic", "bearer"], indirect=True)
def test_with_a_password(server: Server) -> None:
    assert Registry(server.address, "person", "right").digest_of("team/env", "1") == DIGEST
    with pytest.raises(AuthenticationException, match="refuses the user name 'person'.*container_registry.credentials") as caught:
        Registry(server.address, "person", "wr0ng").digest_of("team/env", "1")
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(AuthenticationException, match="wants a user name and password.*DockerRegistryCredentials"):
        Registry(server.address).digest_of("team/env", "1")


def test_server_that_is_broken_or_away(server: Server) -> None:
    with pytest.raises(ServiceException, match="answered 500 to /v2/broken/manifests/1"):
        Registry(server.address).digest_of("broken", "1")
    server.close()
    with pytest.raises(ServiceException, match=f"container_registry: no answer from {server.address} .*Check its address"):
        Registry(server.address).digest_of("team/env", "1")


@pytest.mark.parametrize("address", ["", "ftp://host", "host:port", "user:password@host", "host/UPPER", "a b"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(UserErrorException, match=r"container_registry.address: .* Write host\[:port\]\[/path\]"):
        Registry(address)


def test_parts_of_an_address() -> None:
    registry = Registry("http://registry.example.org:5000/team/", "person", "right")
    assert (registry.name, registry.host) == ("registry.example.org:5000/team", "registry.example.org:5000")
    assert registry.logins == {"registry.example.org:5000": ("person", "right")}
    assert "right" not in repr(registry)
    assert Registry("host").logins == {}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("ubuntu", ("docker.io", "library/ubuntu", "latest")),
        ("person/image:1", ("docker.io", "person/image", "1")),
        ("localhost/image", ("localhost", "image", "latest")),
        ("host:5000/a/b:1.2", ("host:5000", "a/b", "1.2")),
        ("example.org/a:1@sha256:ab", ("example.org", "a", "sha256:ab")),
    ],
)
def test_split(image: str, parts: tuple[str, str, str]) -> None:
    assert split(image) == parts
