"""Pictures given to log_image."""

import os
import posixpath
import time

from mlflows.exceptions import AzureMLException
from mlflows.job import uploads

TYPE_CHECKING = False  # importing typing would cost every job some milliseconds
if TYPE_CHECKING:
    from typing import Any  # noqa: F401


def check(name, path, plot):
    # type: (str, str | None, Any) -> None
    """Refuse a bad call before anything is written.

    Raises:
        AzureMLException: both or none of ``path`` and ``plot``, a plot that cannot be saved, a file of no known image type.
        UserErrorException: no such file.
    """
    if (path is None) == (plot is None):
        raise AzureMLException("log_image({!r}): give either path or plot".format(name))
    if plot is not None and not hasattr(plot, "savefig"):
        raise AzureMLException("log_image({!r}): plot is a {}, which has no savefig".format(name, type(plot).__name__))
    if path is not None:
        uploads.check_image(path, name)


def store(folder, child_id, run_id, name, path, plot):
    # type: (str, str | None, str, str, str | None, Any) -> str
    """Copy the file, or save the plot, among the run's files; its path relative to the job folder."""
    extension = ".png" if path is None else os.path.splitext(os.fspath(path))[1]
    relative = _free(folder, child_id, "{}_{}".format(name, int(time.time())), extension)
    if path is not None:
        uploads.store(folder, relative, path, name, run_id)
        return relative
    target = os.path.join(folder, relative)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    plot.savefig(target, format="png")
    return relative


def _free(folder, child_id, stem, extension):
    # type: (str, str | None, str, str) -> str
    """A name not taken yet: several pictures of one name may come in one second."""
    number = 0
    while True:
        suffix = "_{}".format(number) if number else ""
        relative = posixpath.normpath(uploads.place(child_id, stem + suffix + extension))
        if not os.path.exists(os.path.join(folder, relative)):
            return relative
        number += 1
