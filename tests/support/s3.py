"""A real S3 server: the MinIO that infra/dev brings up, or one of a test's own that may be killed."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import bring_up

STATE = Path("/var/lib/mlflows-dev")
ADDRESS = "127.0.0.1:5200"
CREDENTIALS = STATE / "minio.credentials"
SERVER_SECONDS = 60


@dataclass(frozen=True)
class S3Server:
    """An S3 server on loopback."""

    endpoint: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    made: list[str] = field(default_factory=list, repr=False)
    """The buckets that make_bucket has made."""

    def client(self) -> Any:
        """botocore's client: what the tests look with is not what the package transfers with."""
        from botocore.config import Config
        from botocore.session import Session

        return Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 10}),
        )

    def make_bucket(self, stem: str = "test") -> str:
        """A new, empty bucket; its name."""
        name = f"{re.sub('[^a-z0-9]+', '-', stem.lower()).strip('-')[:40]}-{secrets.token_hex(4)}"
        self.client().create_bucket(Bucket=name)
        self.made.append(name)
        return name

    def remove_buckets(self) -> None:
        """Remove what make_bucket has made, with all that is in it."""
        client = self.client()
        for bucket in self.made:
            for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                keys = [{"Key": each["Key"]} for each in page.get("Contents", [])]
                if keys:
                    client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            client.delete_bucket(Bucket=bucket)
        self.made.clear()

    def objects(self, bucket: str, prefix: str = "") -> dict[str, int]:
        """Key -> size of all objects."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}

    def unfinished(self, bucket: str) -> list[str]:
        """Keys of multipart uploads that were begun and neither completed nor aborted."""
        return [item["Key"] for item in self.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


class OwnServer:
    """A MinIO of one test: killed and started again with the same data on the same port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.server = S3Server(f"http://{self._address}", "tester", secrets.token_hex(16))

    def start(self) -> S3Server:
        """Start it; it answers when this returns."""
        environment = {
            **os.environ,
            "MINIO_ROOT_USER": self.server.access_key_id,
            "MINIO_ROOT_PASSWORD": self.server.secret_access_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        command = [str(find_binary()), "server", "--quiet", "--address", self._address, str(self._folder / "data")]
        with (self._folder / "minio.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + SERVER_SECONDS
        while not answers(self.server.endpoint):
            assert self._process.poll() is None and time.monotonic() < deadline, (self._folder / "minio.log").read_text()[-2000:]
            time.sleep(0.05)
        return self.server

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def answers(endpoint: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(f"{endpoint}/minio/health/ready", timeout=5)
    except OSError:
        return False
    return True


def find_server() -> S3Server:
    """The MinIO of infra/dev; skips the test if it does not answer or its keys may not be read."""
    bring_up("minio.sh")
    if os.access(CREDENTIALS, os.R_OK) and answers(f"http://{ADDRESS}"):
        user, _, password = CREDENTIALS.read_text().strip().partition(":")
        return S3Server(f"http://{ADDRESS}", user, password)
    pytest.skip(f"needs MinIO on {ADDRESS} (infra/dev/minio.sh)")


def find_binary() -> Path:
    """The server's program; skips the test if it was not built."""
    bring_up("minio.sh")
    found = sorted(STATE.glob("minio-v*"))
    if not found:
        pytest.skip("needs the program of MinIO (infra/dev/minio.sh)")
    return found[-1]
