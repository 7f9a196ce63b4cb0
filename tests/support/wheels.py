"""Packages made on the spot, and an index that serves them."""

from __future__ import annotations

import base64
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def make_wheel(folder: Path, name: str, version: str = "1.0", files: Mapping[str, str] | None = None, requires: Sequence[str] = ()) -> Path:
    """A pure wheel of a few files, by default a module of its name with ``VERSION``."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {other}" for other in requires)]
    members = {
        **(files or {f"{module}.py": f"VERSION = {version!r}\n"}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_hash(text)},{len(text.encode())}\n" for path, text in members.items()) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**members, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def make_slow_project(folder: Path, gate: Path) -> Path:
    """A project that cannot be built while ``gate`` is not there; meanwhile there is a file beside it, ``<gate>.waiting``."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "slow"\nversion = "1.0"\n'
    )
    wheel = make_wheel(folder.parent / f"wheel-of-{folder.name}", "slow")
    (folder / "backend.py").write_text(
        "import os, shutil, time\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        f"    open({str(gate) + '.waiting'!r}, 'a').close()\n"
        "    print('the build of slow goes on', flush=True)\n"
        f"    while not os.path.exists({str(gate)!r}):\n"
        "        time.sleep(0.02)\n"
        f"    shutil.copy({str(wheel)!r}, directory)\n"
        f"    return {wheel.name!r}\n"
    )
    return folder


class Index:
    """A package index, on loopback unless another host is given. ``asked`` are the paths asked for with the right name and password."""

    def __init__(self, folder: Path, password: str | None, host: str, user: str) -> None:
        self.asked: list[str] = []
        index = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, directory=str(folder), **options)

            def do_GET(self) -> None:
                expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
                if password is not None and self.headers.get("Authorization") != expected:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="packages"')
                    self.end_headers()
                    return
                index.asked.append(self.path)
                if self.path.startswith("/simple/"):
                    index._list(self, folder)
                else:
                    super().do_GET()

            do_HEAD = do_GET

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.address = f"{host}:{self._server.server_port}"
        self.url = f"http://{self.address}/simple"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _list(handler: http.server.SimpleHTTPRequestHandler, folder: Path) -> None:
        name = handler.path.partition("?")[0].removeprefix("/simple/").strip("/").replace("-", "_")
        found = [path.name for path in sorted(folder.glob("*.whl")) if path.name.partition("-")[0] == name]
        body = "".join(f'<a href="/{file}">{file}</a>\n' for file in found).encode()
        handler.send_response(200 if found else 404)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


@contextmanager
def index(folder: Path, password: str | None = None, host: str = "127.0.0.1", user: str = "person") -> Iterator[Index]:
    """Serve the wheels of a folder; with a password, also an empty one, only to ``user``."""
    served = Index(folder, password, host, user)
    try:
        yield served
    finally:
        served.close()
