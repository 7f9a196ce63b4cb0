"""MPI jobs: one mpirun for the job, a small wrapper (mpi_rank.py) around each of its ranks.

On one machine each rank writes into a named pipe of its own, so that it has its own log as under the other launchers; what mpirun itself
says goes to ``system_logs/mpirun.log``. Ranks on other hosts write through mpirun.
"""

import os
import re
import sys

from mlflows.job import layout, processes, pump, ranks

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401

LAUNCHER_LOG = "mpirun.log"
PIPES = "pipes"  # in SYSTEM_LOGS, while the ranks start

_RANK = re.compile(r"(?:process rank |Process name: \[\[\d+,\d+\],)(\d+)")
_SIGNAL = re.compile(r"exited on signal (\d+)")
_PASSED_ON = re.compile(r"(AZUREML_|AZ_BATCH|MLFLOW|PYTHON|PATH$|LD_LIBRARY_PATH$|NCCL_|HOROVOD_|OMP_)")


def on_one_machine(job):
    # type: (dict[str, Any]) -> bool
    """Whether all nodes are this machine."""
    return all(host in ranks.LOCAL_HOSTS for host in job["hosts"])


def environment(job, base):
    # type: (dict[str, Any], dict[str, str]) -> dict[str, str]
    """What mpirun and all ranks share. The master variables are those that user code copies to MASTER_ADDR and MASTER_PORT."""
    shared = dict(base, AZUREML_COMMUNICATOR=job["backend"], AZ_BATCH_HOST_LIST=",".join(job["hosts"]))
    shared["AZ_BATCHAI_MPI_MASTER_NODE"] = job["hosts"][0]
    if job["node_count"] > 1:
        shared["AZ_BATCH_MASTER_NODE"] = "{}:{}".format(job["hosts"][0], ranks.master_port(job))
    return shared


def launcher(job, folder, shared):
    # type: (dict[str, Any], str, dict[str, str]) -> ranks.Rank
    """The mpirun process.

    Raises:
        StartError: there is no mpirun.
    """
    if which("mpirun", shared.get("PATH", os.defpath)) is None:
        raise processes.StartError(
            "an MPI job needs mpirun, which is not on the PATH: install Open MPI (Debian: openmpi-bin; conda: openmpi) "
            "or use PyTorchConfiguration"
        )
    here = on_one_machine(job)
    argv = ["mpirun", "-n", str(ranks.world_size(job)), "--stdin", "none", "--bind-to", "none"]
    if os.geteuid() == 0:
        argv.append("--allow-run-as-root")
    if here:
        argv.append("--oversubscribe")
    else:
        argv += ["--host", ",".join("{}:{}".format(host, job["processes_per_node"]) for host in job["hosts"])]
        for name in sorted(set(job["env"]) | {name for name in shared if _PASSED_ON.match(name)}):
            argv += ["-x", name]
    wrapper = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mpi_rank.py")
    argv += [sys.executable if here else job["interpreter"], "-S", "-E", "-s", wrapper, folder]
    return ranks.Rank(0, 0, argv, shared, LAUNCHER_LOG)


def rank_records(job):
    # type: (dict[str, Any]) -> list[ranks.Rank]
    """The ranks mpirun starts, for the record; they have no argv, pid and exit code of ours."""
    size = ranks.world_size(job)
    width = job["processes_per_node"]
    return [ranks.Rank(rank, rank // width, [], {}, layout.rank_log(rank, size)) for rank in range(size)]


def open_streams(job, folder):
    # type: (dict[str, Any], str) -> list[pump.Stream]
    """A named pipe for each rank of this machine."""
    if not on_one_machine(job):
        return []
    pipes = os.path.join(folder, layout.SYSTEM_LOGS, PIPES)
    os.makedirs(pipes, exist_ok=True)
    size = ranks.world_size(job)
    streams = []
    for rank in range(size):
        name = os.path.join(pipes, str(rank))
        if os.path.exists(name):
            os.unlink(name)
        path = os.path.join(folder, layout.USER_LOGS, layout.rank_log(rank, size))
        streams.append(pump.open_named_stream(name, path, b"[rank %d] " % rank))
    return streams


def remove_pipes(folder):
    # type: (str) -> None
    """Nobody who walks the job folder should meet a named pipe: opening one blocks."""
    pipes = os.path.join(folder, layout.SYSTEM_LOGS, PIPES)
    if os.path.isdir(pipes):
        for name in os.listdir(pipes):
            os.unlink(os.path.join(pipes, name))
        os.rmdir(pipes)


def first_failure(log_lines, code):
    # type: (list[str], int) -> tuple[int | None, int]
    """Rank and exit code (negative: signal) of the failure that mpirun reports; the code is mpirun's own if it names none."""
    for index, line in enumerate(log_lines):
        found = _RANK.search(line)
        if found:
            number = _SIGNAL.search(" ".join(log_lines[index : index + 2]))
            return int(found.group(1)), -int(number.group(1)) if number else code
    return None, code


def which(program, path):
    # type: (str, str) -> str | None
    """Like shutil.which, without its import."""
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory, program)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None
