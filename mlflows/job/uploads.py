"""Files that a script hands over: copied at once, because the script may change or remove them afterwards."""

import os
import posixpath
import time

from mlflows.exceptions import AzureMLException, UserErrorException
from mlflows.job import layout

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import IO, Any  # noqa: F401

    from mlflows.job.here import Here  # noqa: F401

CHILDREN = "child_uploads"
"""Folder beside ``uploads/`` for files of child runs, one folder per child."""

_CHUNK = 1 << 20
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")
_TEXT_IMAGES = (".svg",)


def place(child_id, name):
    # type: (str | None, str) -> str
    """Path, relative to the job folder, where the file called ``name`` belongs.

    Raises:
        UserErrorException: the name is empty, absolute, or leads out of the run's files.
    """
    text = os.fspath(name).replace("\\", "/")
    clean = posixpath.normpath(text) if text else ""
    if clean in ("", ".", "..") or clean.startswith(("/", "../")) or "\0" in clean:
        raise UserErrorException(
            "The name {!r} is not a relative path within the run's files: use one like 'outputs/model.pkl'".format(name)
        )
    return posixpath.join(CHILDREN, child_id, clean) if child_id else posixpath.join(layout.UPLOADS, clean)


def upload(job, child_id, name, source):
    # type: (Here, str | None, str, Any) -> None
    """Copy a file, all files of a folder, or a stream to the run's files and say so in the events.

    Raises:
        UserErrorException: as place and store.
    """
    if not hasattr(source, "read") and os.path.isdir(source):
        for file_name, path in files_below(source, name):
            upload(job, child_id, file_name, path)
        return
    file = place(child_id, name)
    store(job.folder, file, source, name, child_id or job.run_id)
    event = {"t": int(time.time() * 1000), "e": "upload", "name": str(name), "file": file}
    if child_id:
        event["run"] = child_id
    job.spool.event(event, even_if_silent=True)


def store(folder, relative, source, name, run_id):
    # type: (str, str, Any, str, str) -> None
    """Copy ``source``, a path or a readable stream, to ``relative`` in the job folder.

    Raises:
        UserErrorException: no such file, a directory, or there is a file of that name already.
    """
    reader = source if hasattr(source, "read") else _opened(source, name)
    try:
        _copy(reader, _created(os.path.join(folder, relative), name, run_id))
    finally:
        if reader is not source:
            reader.close()


def _opened(path, name):
    # type: (str, str) -> IO[Any]
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserErrorException(
            "File {!r} for {!r} cannot be read (working directory {}): {}".format(os.fspath(path), name, os.getcwd(), error.strerror)
        )


def _created(path, name, run_id):
    # type: (str, str, str) -> int
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except (FileExistsError, NotADirectoryError):
        raise UserErrorException(
            "Resource Conflict: ArtifactId {} already exists in run {}. Files of a run cannot be replaced: use another name".format(
                name, run_id
            )
        )


def _copy(reader, descriptor):
    # type: (IO[Any], int) -> None
    with os.fdopen(descriptor, "wb") as target:
        while True:
            chunk = reader.read(_CHUNK)
            if not chunk:
                return
            target.write(chunk.encode("utf-8") if isinstance(chunk, str) else chunk)


def files_below(path, name):
    # type: (str, str) -> list[tuple[str, str]]
    """Pairs (name in the run, path) of all files below directory ``path``."""
    pairs = []
    for directory, folders, files in os.walk(path):
        folders.sort()
        relative = os.path.relpath(directory, path).replace(os.sep, "/")
        pairs += [(posixpath.normpath(posixpath.join(name, relative, file)), os.path.join(directory, file)) for file in sorted(files)]
    return pairs


def check_image(path, name):
    # type: (str, str) -> None
    """Refuse what is not a picture.

    Raises:
        UserErrorException: the file cannot be read.
        AzureMLException: its content is of no known image type.
    """
    with _opened(path, name) as handle:
        start = handle.read(16)
    if not start.startswith(_MAGIC) and os.path.splitext(os.fspath(path))[1].lower() not in _TEXT_IMAGES:
        raise AzureMLException(
            "File {!r} of image {!r} is of no known image type (png, jpeg, gif, bmp, tiff, webp, svg)".format(os.fspath(path), name)
        )
