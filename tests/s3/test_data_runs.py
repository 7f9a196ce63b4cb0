"""Runs with data on a real MinIO: inputs through the cache, outputs, mounts that scripts write to, snapshots, a server that is away."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Services
from mlflows import settings
from mlflows.data import snapshot
from mlflows.data.dataset import Dataset
from mlflows.data.datastore import Datastore
from mlflows.data.datastore_kinds import S3Datastore
from mlflows.data.output_dataset_config import OutputFileDatasetConfig
from mlflows.job import layout
from mlflows.workspace import Workspace
from tests.support.data_runs import ended, error_of, seen, submit
from tests.support.s3 import OwnServer, S3Server


@pytest.fixture
def ws(services: Services) -> Workspace:
    return Workspace.get(f"s3-runs-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.make_bucket("runs")


@pytest.fixture
def store(ws: Workspace, s3_server: S3Server, bucket: str) -> S3Datastore:
    return register(ws, s3_server, bucket)


def register(ws: Workspace, server: S3Server, bucket: str) -> S3Datastore:
    keys = {"access_key_id": server.access_key_id, "secret_access_key": server.secret_access_key}
    return Datastore.register_s3(ws, "bucket", bucket, endpoint=server.endpoint, **keys)


def put(server: S3Server, bucket: str, objects: dict[str, bytes]) -> None:
    for key, body in objects.items():
        server.client().put_object(Bucket=bucket, Key=key, Body=body)


def body(server: S3Server, bucket: str, key: str) -> bytes:
    return bytes(server.client().get_object(Bucket=bucket, Key=key)["Body"].read())


WRITE = "open(sys.argv[1] + '/r.csv', 'w').write('n\\n1\\n')\n"


class TestInputs:
    def test_a_changed_object_is_fetched_again_and_others_are_not(
        self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        put(s3_server, bucket, {"d/a b.txt": b"one", "d/ü/c": b"two"})
        files = Dataset.File.from_files((store, "d/**")).as_named_input("d")
        script = "print('inodes', *sorted(str(os.stat(p + '/' + n).st_ino) for p, _, ns in os.walk(sys.argv[1]) for n in ns))\n"
        first = ended(submit(ws, tmp_path / "code", script, [files.as_mount()]))
        assert seen(first, tmp_path)["content"] == [{"a b.txt": "one", "ü/c": "two"}]
        put(s3_server, bucket, {"d/ü/c": b"new"})
        second = ended(submit(ws, tmp_path / "code", script, [files.as_mount()]))
        assert seen(second, tmp_path)["content"] == [{"a b.txt": "one", "ü/c": "new"}]
        inodes = [set(log_of(run).split("inodes ")[1].split()) for run in (first, second)]
        assert len(inodes[0] & inodes[1]) == 1

    def test_what_a_script_does_to_a_mount_does_not_reach_the_next_run(
        self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        put(s3_server, bucket, {"d/a": b"right"})
        files = Dataset.File.from_files((store, "d")).as_named_input("d").as_mount()
        spoil = "try:\n    open(sys.argv[1] + '/a', 'w').write('wrong')\nexcept OSError as error:\n    print(error)\n"
        ended(submit(ws, tmp_path / "code", spoil, [files]))
        assert seen(ended(submit(ws, tmp_path / "code", "", [files])), tmp_path)["content"] == [{"a": "right"}]

    def test_mlflow_is_told_the_bucket(self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        put(s3_server, bucket, {"d/a": b"x"})
        run = ended(submit(ws, tmp_path / "code", "", [Dataset.File.from_files((store, "d")).as_named_input("d").as_mount()]))
        [told] = ws._tracking().get("runs/get", {"run_id": run._ref.mlflow_run_id})["run"]["inputs"]["dataset_inputs"]
        assert (told["dataset"]["source_type"], told["dataset"]["name"]) == ("s3", "d")
        assert f"s3://{bucket}/d" in told["dataset"]["source"] and s3_server.secret_access_key not in str(told)


class TestOutputs:
    def test_uploaded_and_registered(self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        for mode in ("as_upload", "as_mount"):
            output = getattr(OutputFileDatasetConfig("result", (store, "out/{run-id}")), mode)().register_on_complete("result")
            run = ended(submit(ws, tmp_path / "code", WRITE, [output]))
            assert body(s3_server, bucket, f"out/{run.id}/r.csv") == b"n\n1\n"
            assert Dataset.get_by_name(ws, "result").to_path() == ["/r.csv"]
        assert Dataset.get_by_name(ws, "result").version == 2

    def test_mount_of_a_failed_run(self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("result", (store, "out")).as_mount()
        ended(submit(ws, tmp_path / "code", WRITE + "sys.exit(3)\n", [output]), "Failed")
        assert body(s3_server, bucket, "out/r.csv") == b"n\n1\n"

    def test_a_mounted_reference_takes_what_is_written(
        self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        put(s3_server, bucket, {"d/same": b"same", "d/changed": b"before"})
        before = s3_server.client().head_object(Bucket=bucket, Key="d/same")["LastModified"]
        script = "open(sys.argv[1] + '/changed', 'w').write('after')\nopen(sys.argv[1] + '/new', 'w').write('new')\n"
        time.sleep(1.1)
        run = ended(submit(ws, tmp_path / "code", script, [store.path("d").as_mount()]))
        assert seen(run, tmp_path)["content"] == [{"same": "same", "changed": "before"}]
        assert {key: body(s3_server, bucket, key) for key in s3_server.objects(bucket, "d/")} == {
            "d/same": b"same",
            "d/changed": b"after",
            "d/new": b"new",
        }
        assert s3_server.client().head_object(Bucket=bucket, Key="d/same")["LastModified"] == before

    def test_keys_that_were_withdrawn_meanwhile(self, ws: Workspace, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        store = register(ws, s3_server, bucket)
        output = OutputFileDatasetConfig("result", (store, "out")).as_upload()
        run = submit(ws, tmp_path / "code", WRITE + "import time\ntime.sleep(4)\n", [output])
        until_running(run)
        Datastore.register_s3(
            ws,
            "bucket",
            bucket,
            s3_server.endpoint,
            access_key_id="gone",
            secret_access_key="gone-gone",
            overwrite=True,
            skip_validation=True,
        )
        ended(run, "Failed")
        kept = settings.job_folder(run.id) / layout.DATA_OUTPUTS / "result"
        assert "Output 'result' was not delivered" in error_of(run) and str(kept) in error_of(run)
        assert (kept / "r.csv").read_text() == "n\n1\n" and "gone-gone" not in error_of(run)


class TestSnapshots:
    def test_live_in_the_default_datastore(
        self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        store.set_as_default()
        first = ended(submit(ws, tmp_path / "code", "# 1\n"))
        there = s3_server.objects(bucket, ".mlflows/snapshots/")
        second = ended(submit(ws, tmp_path / "code", "# 1\n"))
        assert s3_server.objects(bucket, ".mlflows/snapshots/") == there
        (tmp_path / "code" / "more.py").write_text("# 2\n")
        third = ended(submit(ws, tmp_path / "code", "# 1\n"))
        added = set(s3_server.objects(bucket, ".mlflows/snapshots/")) - set(there)
        assert sorted(key.split("/")[2] for key in added) == ["blobs", "manifests"]

        shutil.rmtree(snapshot.store_of(ws.name))  # another machine
        folder = third.restore_snapshot(path=str(tmp_path / "restored"))
        assert (Path(folder) / "more.py").read_text() == "# 2\n"
        assert first.get_snapshot_id() == second.get_snapshot_id() != third.get_snapshot_id()

    def test_a_damaged_one_is_not_used(self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        store.set_as_default()
        run = ended(submit(ws, tmp_path / "code", ""))
        for key in s3_server.objects(bucket, ".mlflows/snapshots/blobs/"):
            put(s3_server, bucket, {key: b"import evil"})
        shutil.rmtree(snapshot.store_of(ws.name))
        with pytest.raises(Exception, match="arrived damaged"):
            run.restore_snapshot(path=str(tmp_path / "restored"))


class TestServerAway:
    @pytest.fixture
    def own(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
        server = OwnServer(tmp_path_factory.mktemp("minio"))
        server.start()
        yield server
        server.kill()

    def test_outputs_arrive_when_it_is_back(self, ws: Workspace, own: OwnServer, tmp_path: Path) -> None:
        bucket = own.server.make_bucket("away")
        store = register(ws, own.server, bucket)
        run = submit(
            ws, tmp_path / "code", WRITE + "import time\ntime.sleep(2)\n", [OutputFileDatasetConfig("o", (store, "o")).as_upload()]
        )
        until_running(run)
        own.kill()
        threading.Timer(12, own.start).start()
        ended(run)
        assert body(own.server, bucket, "o/r.csv") == b"n\n1\n"

    def test_canceled_while_outputs_wait_for_it(self, ws: Workspace, own: OwnServer, tmp_path: Path) -> None:
        store = register(ws, own.server, own.server.make_bucket("away"))
        output = OutputFileDatasetConfig("o", (store, "o")).as_upload()
        run = submit(ws, tmp_path / "code", WRITE + "import time\ntime.sleep(2)\nprint('written')\n", [output])
        until_running(run)
        own.kill()
        time.sleep(6)
        began = time.monotonic()
        run.cancel()
        ended(run, "Canceled")
        assert time.monotonic() - began < 45
        assert (settings.job_folder(run.id) / layout.DATA_OUTPUTS / "o" / "r.csv").exists()

    def test_a_default_bucket_that_is_away_holds_up_no_run(self, ws: Workspace, own: OwnServer, tmp_path: Path) -> None:
        register(ws, own.server, own.server.make_bucket("away")).set_as_default()
        own.kill()
        began = time.monotonic()
        run = ended(submit(ws, tmp_path / "code", "print('ran')\n"))
        assert time.monotonic() - began < 20 and "ran" in log_of(run)

    def test_canceled_while_an_input_waits_for_it(self, ws: Workspace, own: OwnServer, tmp_path: Path) -> None:
        bucket = own.server.make_bucket("away")
        store = register(ws, own.server, bucket)
        put(own.server, bucket, {"d/a": b"x"})
        files = Dataset.File.from_files((store, "d")).as_mount()
        own.kill()
        run = submit(ws, tmp_path / "code", "", [files])
        time.sleep(3)
        began = time.monotonic()
        run.cancel()
        ended(run, "Canceled")
        assert time.monotonic() - began < 15
        assert not os.path.exists(settings.job_folder(run.id) / layout.STATUS_FILE)


class TestRunnerKilled:
    def test_in_mid_run(self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        put(s3_server, bucket, {"d/a": b"still here"})
        files = Dataset.File.from_files((store, "d")).as_named_input("d").as_mount()
        output = OutputFileDatasetConfig("result", (store, "out/{run-id}")).as_upload().register_on_complete("result")
        script = "import time\ntime.sleep(5)\nopen(sys.argv[2] + '/r', 'w').write(open(sys.argv[1] + '/a').read())\n"
        run = submit(ws, tmp_path / "code", script, [files, output])
        until_running(run)
        kill_runner()
        ended(run)
        assert body(s3_server, bucket, f"out/{run.id}/r") == b"still here"
        assert Dataset.get_by_name(ws, "result").version == 1
        assert [each["dataset"]["name"] for each in run.get_details()["outputDatasets"]] == ["result"]
        assert not (settings.job_folder(run.id) / layout.INPUTS).exists()

    def test_while_outputs_are_sent(self, ws: Workspace, store: S3Datastore, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
        output = OutputFileDatasetConfig("result", (store, "out")).as_upload().register_on_complete("sent")
        script = "for n in range(400):\n    open(sys.argv[1] + '/%03d' % n, 'wb').write(os.urandom(1 << 20))\n"
        run = submit(ws, tmp_path / "code", script, [output])
        deadline = time.monotonic() + 120
        while not s3_server.objects(bucket, "out/"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        kill_runner()
        ended(run)
        assert set(s3_server.objects(bucket, "out/").values()) == {1 << 20} and len(s3_server.objects(bucket, "out/")) == 400
        assert Dataset.get_by_name(ws, "sent").version == 1


def kill_runner() -> None:
    """SIGKILL; its guard starts another."""
    guard = settings.services_record()["runner"]["pid"]
    [runner] = Path(f"/proc/{guard}/task/{guard}/children").read_text().split()
    os.kill(int(runner), signal.SIGKILL)


def until_running(run: object) -> None:
    deadline = time.monotonic() + 60
    while run.get_status() != "Running":  # type: ignore[attr-defined]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def log_of(run: object) -> str:
    return str(run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"])  # type: ignore[attr-defined]
