"""Files of web servers that do not behave."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflows import settings
from mlflows.data import web_store
from mlflows.data.dataset import Dataset
from mlflows.exceptions import ServiceException, UserErrorException


class Moody(http.server.BaseHTTPRequestHandler):
    """Answers by the path; ``asked`` counts."""

    asked: list[str] = []

    def do_HEAD(self) -> None:
        self.asked.append(f"HEAD {self.path}")
        status = {"/no-head": 405, "/forbidden": 403, "/down": 503}.get(self.path, 200)
        if self.path == "/busy" and len(self.asked) < 3:
            status = 503
        self._answer(status, b"")

    def do_GET(self) -> None:
        self.asked.append(f"GET {self.path}")
        self._answer(404 if self.path == "/gone" else 200, b"x\n1\n")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "9" if self.path == "/short" else "4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def moody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(web_store, "_PAUSES", (0.01, 0.01))
    Moody.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_connection_that_breaks_off_is_no_file(moody: str, tmp_path: Path) -> None:
    dataset = Dataset.File.from_files(f"{moody}/short")
    with pytest.raises(ServiceException, match="/short broke off"):
        dataset.download(tmp_path / "to")
    assert list((tmp_path / "to").iterdir()) == [] and not any(path.is_file() for path in (settings.home() / "cache/files").rglob("*"))


def test_asked_again_while_busy(moody: str) -> None:
    assert Dataset.File.from_files(f"{moody}/busy").to_path() == ["/busy"]
    assert Moody.asked[:3] == ["HEAD /busy"] * 3


def test_without_head(moody: str) -> None:
    assert Dataset.File.from_files(f"{moody}/no-head").to_path() == ["/no-head"]


def test_gone_between_listing_and_reading(moody: str, tmp_path: Path) -> None:
    dataset = Dataset.File.from_files(f"{moody}/gone")
    with pytest.raises(UserErrorException, match="gone in http.* was changed or removed.* ignore_not_found=True leaves out"):
        dataset.download(tmp_path / "to")
    assert dataset.download(tmp_path / "to", ignore_not_found=True) == []


@pytest.mark.parametrize(("path", "says"), [("/forbidden", "the server answered 403"), ("/down", "the server answered 503")])
def test_refused(moody: str, path: str, says: str) -> None:
    with pytest.raises(UserErrorException, match=says):
        Dataset.File.from_files(moody + path)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_store, "_PAUSES", (0.01,))
    with pytest.raises(UserErrorException, match="http://127.0.0.1:1/x: no answer from the server"):
        Dataset.File.from_files("http://127.0.0.1:1/x")


def test_an_address_that_is_none(moody: str) -> None:
    with pytest.raises(UserErrorException, match="/a b' is not an address. Write"):
        web_store.WebStore(moody).item("a b")


def test_a_server_that_speaks_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def babble() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"220 ready\r\n")

        threading.Thread(target=babble, daemon=True).start()
        with pytest.MonkeyPatch.context() as patch, pytest.raises(UserErrorException, match="no answer from the server") as caught:
            patch.setattr(web_store, "_PAUSES", (0.01,))
            web_store.WebStore(f"http://127.0.0.1:{listening.getsockname()[1]}").item("x")
        assert caught.value.__suppress_context__
