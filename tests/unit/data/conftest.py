"""What the tests of datasets share: a workspace without servers, its datastore with files, a web server."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflows.data.datastore import Datastore, LocalFolderDatastore
from mlflows.rest import RestClient


class Team:
    """A workspace whose Prefect server does not answer."""

    name = "team"

    def _prefect(self) -> RestClient:
        return RestClient("http://127.0.0.1:1/api")


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.setenv("MLFLOWS_HOME", str(tmp_path / "home"))
    return Team()


@pytest.fixture
def filled(ws: Team) -> LocalFolderDatastore:
    """The default datastore, with ``files`` by content."""
    store = Datastore.get_default(ws)
    assert isinstance(store, LocalFolderDatastore)
    write(
        store.root, {"img/cat/1.png": "one", "img/cat/2.png": "two", "img/dog/3.png": "three", "img/readme.txt": "text", "a.csv": "x\n1\n"}
    )
    return store


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a web server."""
    root = tmp_path / "web"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", root
    server.shutdown()
    server.server_close()
