"""A folder over HTTP, for the user whose password is in its file index-password. Prints its port."""

from __future__ import annotations

import base64
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(SimpleHTTPRequestHandler):
    """Asks for the password, and never gives it away."""

    def do_GET(self) -> None:
        password = Path(self.directory, "index-password").read_text()
        expected = "Basic " + base64.b64encode(f"user:{password}".encode()).decode()
        if self.headers.get("Authorization") == expected and "password" not in self.path:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="tests"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[1], 0), partial(Handler, directory=sys.argv[2]))
    print(server.server_address[1], flush=True)
    server.serve_forever()
