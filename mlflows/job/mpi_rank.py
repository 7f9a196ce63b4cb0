"""What mpirun starts for each rank: sets the rank's variables and log, then becomes the user's program.

Usage: python mpi_rank.py <job folder>
"""

import os
import sys

sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mlflows.job import files, layout, mpi, ranks  # noqa: E402


def main(folder):
    # type: (str) -> None
    """Replace this process by rank ``OMPI_COMM_WORLD_RANK`` of the job."""
    job = files.read_json(os.path.join(folder, layout.JOB_FILE))
    rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
    node, local = divmod(rank, job["processes_per_node"])
    environment = dict(os.environ, MLFLOWS_RANK=str(rank), AZ_BATCHAI_TASK_INDEX=str(node))
    environment[layout.FOLDER_VARIABLE] = folder
    if mpi.on_one_machine(job):
        environment["OMPI_COMM_WORLD_LOCAL_RANK"] = str(local)
        environment["OMPI_COMM_WORLD_LOCAL_SIZE"] = str(job["processes_per_node"])
        _write_into(os.path.join(folder, layout.SYSTEM_LOGS, mpi.PIPES, str(rank)))
    os.chdir(job["cwd"])
    argv = [argument.encode("utf-8", "surrogateescape") for argument in ranks.command(job, environment)]
    try:
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        sys.exit("the program {!r} cannot be started: {}".format(os.fsdecode(argv[0]), error))


def _write_into(pipe):
    # type: (str) -> None
    descriptor = os.open(pipe, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1])
