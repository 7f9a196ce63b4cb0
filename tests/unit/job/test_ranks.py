"""Jobs of several processes: variables, fail-fast, MPI."""

import json
import shutil
import time
from pathlib import Path

import pytest

from mlflows.job import ranks

DUMP = "import json, os; json.dump(dict(os.environ), open('env%s.json' % os.environ['MLFLOWS_RANK'], 'w'))"


def environments(job):
    files = (job.folder / "code").glob("env*.json")
    return {int(file.stem[3:]): json.loads(file.read_text()) for file in files}


def test_pytorch(any_job):
    any_job.python_script(DUMP, kind="pytorch", backend="gloo", node_count=2, processes_per_node=2).status()
    found = environments(any_job)
    names = (
        "NODE_RANK",
        "RANK",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "WORLD_SIZE",
        "MASTER_ADDR",
        "AZUREML_FRAMEWORK",
        "AZUREML_COMMUNICATOR",
    )
    assert [[found[rank][name] for name in names] for rank in range(4)] == [
        [str(rank // 2), str(rank), str(rank % 2), "2", "4", "127.0.0.1", "PyTorch", "gloo"] for rank in range(4)
    ]
    assert len({environment["MASTER_PORT"] for environment in found.values()}) == 1
    assert {environment["MLFLOWS_WORLD_SIZE"] for environment in found.values()} == {"4"}
    assert {environment["AZUREML_NODE_COUNT"] for environment in found.values()} == {"2"}


def test_pytorch_one_process_a_node(job):
    status = job.python_script(DUMP, kind="pytorch", node_level=True, node_count=2, master_port=6105).status()
    found = environments(job)
    names = ("NODE_RANK", "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")
    assert [[found[rank][name] for name in names] for rank in range(2)] == [["0", "0", "0", "2", "6105"], ["1", "0", "0", "2", "6105"]]
    assert [(one["rank"], one["node"], one["exit_code"]) for one in status["ranks"]] == [(0, 0, 0), (1, 1, 0)]


def test_only_the_nodes_of_this_supervisor(job):
    hosts = ["node-a", "node-b"]
    status = job.python_script(DUMP, kind="pytorch", node_count=2, processes_per_node=2, nodes=[1], hosts=hosts, master_port=6105).status()
    found = environments(job)
    assert sorted(found) == [2, 3]
    assert found[3]["MASTER_ADDR"] == "node-a"
    assert [one["rank"] for one in status["ranks"]] == [2, 3]


def test_tensorflow(job):
    job.python_script(
        DUMP + "\nimport time\nwhile not os.path.exists('env2.json'): time.sleep(0.01)",
        kind="tensorflow",
        workers=2,
        parameter_servers=1,
        node_count=1,
        processes_per_node=3,
    ).status()
    found = {rank: json.loads(environment["TF_CONFIG"]) for rank, environment in environments(job).items()}
    assert [found[rank]["task"] for rank in range(3)] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
        {"type": "ps", "index": 0},
    ]
    cluster = found[0]["cluster"]
    assert cluster == found[1]["cluster"] == found[2]["cluster"]
    assert (len(cluster["worker"]), len(cluster["ps"])) == (2, 1)
    assert len({*cluster["worker"], *cluster["ps"]}) == 3


def test_variables_in_arguments():
    known = {"AZ_BATCHAI_TASK_INDEX": "1", "OMPI_COMM_WORLD_RANK": "3", "RANK": "2", "AZUREML_DATAREFERENCE_d": "/d", "HOME": "/h"}
    text = "$AZ_BATCHAI_TASK_INDEX ${OMPI_COMM_WORLD_RANK} $RANK/x $AZUREML_DATAREFERENCE_d $HOME $RANKS $WORLD_SIZE"
    assert ranks.expand(text, known) == "1 3 2/x /d $HOME $RANKS $WORLD_SIZE"


def test_tensorflow_without_parameter_servers_on_other_hosts():
    job = {"kind": "tensorflow", "workers": 4, "parameter_servers": 0, "node_count": 2, "nodes": [0, 1], "hosts": ["a", "b"]}
    job.update(shell=None, argv=["x"], backend="None", node_level=False, processes_per_node=2)
    cluster = json.loads(ranks.plan(job, {})[0].environment["TF_CONFIG"])["cluster"]
    assert cluster == {"worker": ["a:2222", "a:2223", "b:2222", "b:2223"]}


def test_parameter_servers_end_with_the_workers(job):
    text = "import json, os, time\nif json.loads(os.environ['TF_CONFIG'])['task']['type'] == 'ps': time.sleep(60)\nprint('trained')"
    status = job.python_script(text, kind="tensorflow", workers=2, parameter_servers=1, processes_per_node=3).status(10)
    assert status["state"] == "Completed"
    assert not job.left()


def test_one_rank_dies_and_the_job_ends(any_job):
    text = """
import os, time
print("rank", os.environ["RANK"], "starts")
if os.environ["RANK"] == "1":
    time.sleep(0.3)
    raise RuntimeError("no GPU")
time.sleep(60)
"""
    started = time.monotonic()
    status = any_job.python_script(text, kind="pytorch", node_count=2, processes_per_node=1).status()
    assert time.monotonic() - started < 4
    assert status["state"] == "Failed"
    assert (status["rank"], status["node"], status["exit_code"]) == (1, 1, 1)
    assert status["message"] == "User program failed with RuntimeError: no GPU (rank 1)"
    assert status["log"] == "user_logs/std_log_process_1.txt"
    assert status["ranks"][0]["exit_code"] == -15
    assert "[rank 0] rank 0 starts\n" in any_job.log()
    assert "[rank 1] RuntimeError: no GPU\n" in any_job.log()
    assert not any_job.left()


def test_a_rank_that_ends_well_does_not_end_the_others(job):
    text = "import os, time\nif os.environ['RANK'] == '0': time.sleep(0.5)\nprint('done')"
    status = job.python_script(text, kind="pytorch", processes_per_node=3).status()
    assert status["state"] == "Completed"
    assert sorted(job.log().splitlines()) == ["[rank 0] done", "[rank 1] done", "[rank 2] done"]


mpi = pytest.mark.skipif(shutil.which("mpirun") is None, reason="needs mpirun")


@mpi
def test_mpi(any_job):
    text = DUMP + "\nprint('rank', os.environ['OMPI_COMM_WORLD_RANK'])"
    status = any_job.python_script(text, kind="mpi", node_count=2, processes_per_node=2).status()
    assert status["state"] == "Completed", status
    found = environments(any_job)
    names = (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "AZ_BATCHAI_TASK_INDEX",
    )
    assert [[found[rank][name] for name in names] for rank in range(4)] == [
        [str(rank), "4", str(rank % 2), "2", str(rank // 2)] for rank in range(4)
    ]
    assert found[0]["AZ_BATCH_HOST_LIST"] == "127.0.0.1,127.0.0.1"
    assert found[0]["AZ_BATCHAI_MPI_MASTER_NODE"] == "127.0.0.1"
    host, port = found[3]["AZ_BATCH_MASTER_NODE"].split(":")
    assert (host, port.isdigit()) == ("127.0.0.1", True)
    assert [any_job.log(f"std_log_process_{rank}.txt") for rank in range(4)] == [f"rank {rank}\n" for rank in range(4)]
    assert sorted(any_job.log().splitlines()) == [f"[rank {rank}] rank {rank}" for rank in range(4)]
    assert [one["exit_code"] for one in status["ranks"]] == [0, 0, 0, 0]
    assert not any_job.left()
    assert not (any_job.folder / "system_logs" / "pipes").exists()


@mpi
def test_mpi_on_one_node_names_no_master_with_a_port(job):
    job.python_script(DUMP, kind="mpi", processes_per_node=2, arguments=["a b", "$HOME"]).status()
    assert "AZ_BATCH_MASTER_NODE" not in environments(job)[1]


@mpi
@pytest.mark.parametrize(
    "end, code, number, message",
    [
        ("raise KeyError('epoch')", 1, None, "User program failed with KeyError: 'epoch' (rank 1)"),
        ("os.kill(os.getpid(), 9)", None, 9, "(signal 9)"),
    ],
)
def test_mpi_failure(job, end, code, number, message):
    text = f"import os, time\nprint('here')\nif os.environ['MLFLOWS_RANK'] == '1':\n    time.sleep(0.3)\n    {end}\ntime.sleep(60)"
    started = time.monotonic()
    status = job.python_script(text, kind="mpi", processes_per_node=2).status()
    assert time.monotonic() - started < 6
    assert (status["state"], status["rank"], status["exit_code"], status["signal"]) == ("Failed", 1, code, number)
    assert message in status["message"]
    assert status["log_tail"][0] == "here"
    assert not job.left()


@mpi
def test_mpi_cancel_gives_the_ranks_their_grace(job):
    text = """
import signal, sys, time
def save(number, frame):
    time.sleep(1.4); print("saved"); sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(60)
"""
    job.python_script(text, kind="mpi", processes_per_node=2, grace_seconds=20)
    for rank in range(2):
        job.await_log("ready", f"std_log_process_{rank}.txt")
    job.signal()
    assert job.status()["state"] == "Canceled"
    assert [job.log(f"std_log_process_{rank}.txt") for rank in range(2)] == ["ready\nsaved\n"] * 2
    assert not job.left()


@mpi
def test_mpi_program_that_does_not_exist(job):
    status = job.start(argv=["/no/such/python", "train.py"], kind="mpi", processes_per_node=2).status()
    assert status["state"] == "Failed"
    assert any("/no/such/python" in line for line in status["log_tail"])


def test_gpu_samples(job, tmp_path):
    fake = tmp_path / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho '0, 97, 40, 1024, 81559, 310.55'; echo '1, 3, [N/A], 12, 81559, 60'; sleep 30\n")
    fake.chmod(0o755)
    import os

    job.write(shell="sleep 0.7")
    import subprocess

    environment = {**os.environ, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
    supervisor = Path(ranks.__file__).parent / "supervisor.py"
    subprocess.run([job.python, "-S", "-E", str(supervisor), str(job.folder)], env=environment, check=True)
    lines = (job.folder / "system_logs" / "gpu.jsonl").read_text().splitlines()
    sample = json.loads(lines[0])
    assert [gpu["utilization"] for line in lines for gpu in json.loads(line)["gpus"]] == [97, 3]
    assert sample["gpus"][0]["memory_mib"] == 1024
    assert abs(sample["t"] - time.time()) < 30
