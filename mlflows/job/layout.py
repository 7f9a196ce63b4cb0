"""Names of the files in a job folder: the one contract between a job and everybody who watches it.

::

    job.json            what the supervisor starts (mode 0600)
    lib/                import path with ``azureml`` and ``mlflows``
    code/               working directory: the snapshot, with outputs/ and logs/ in it
    user_logs/          std_log.txt, or std_log_process_<rank>.txt for several processes
    azureml-logs/       20_image_build_log.txt, where an environment was built for the run
    system_logs/        supervisor.log, supervisor.json and supervisor.lock while it lives, gpu.jsonl, mpirun.log
    events/             rank-<rank>.jsonl, one line per call of the script-side Run
    uploads/            copies of files given to upload_file, under the name given
    child_uploads/      the same of child runs, each in a folder of its id
    inputs/             what the run reads, by the name of the input; removed when the run has ended
    data_outputs/       what it writes for a datastore that is no folder of this machine, by name; removed once it is there
    data.json           what became of inputs and outputs
    mailbox/            <id>.request.json and <id>.answer.json
    cancel.json         why it is to be stopped, for the message; written before the supervisor gets SIGTERM
    status.json         how it ended; the supervisor writes it last, atomically
    attempts/           what former attempts of the run have left, by number; their logs are in user_logs/attempt_<number>/
    collector.json      how far the collector is
    closed.json         the flow and the history are closed, too; nothing changes after it
"""

JOB_FILE = "job.json"
LIB = "lib"
CODE = "code"
OUTPUTS = "outputs"  # in CODE
LOGS = "logs"  # in CODE
USER_LOGS = "user_logs"
STD_LOG = "std_log.txt"
BUILD_LOGS = "azureml-logs"
BUILD_LOG = "20_image_build_log.txt"  # in BUILD_LOGS
SYSTEM_LOGS = "system_logs"
EVENTS = "events"
UPLOADS = "uploads"
MAILBOX = "mailbox"
INPUTS = "inputs"
DATA_OUTPUTS = "data_outputs"
DATA_FILE = "data.json"
CANCEL_FILE = "cancel.json"
STATUS_FILE = "status.json"
COLLECTOR_FILE = "collector.json"
CLOSED_FILE = "closed.json"

FOLDER_VARIABLE = "MLFLOWS_JOB_FOLDER"
"""Set in every process of a job: the absolute path of the job folder. Its presence means 'inside a job'."""


def rank_log(rank, world_size):
    # type: (int, int) -> str
    """File name of a rank's log, in USER_LOGS."""
    return STD_LOG if world_size == 1 else "std_log_process_{}.txt".format(rank)


def events_file(rank):
    # type: (int) -> str
    """File name of a rank's events, in EVENTS."""
    return "rank-{}.jsonl".format(rank)
