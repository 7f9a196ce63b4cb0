"""What a person holds of a build: ImageBuildDetails while it goes on, DockerImageDetails of what there is."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflows.environments.work import BuildStopped, Stopped, Write
from mlflows.exceptions import AzureMLException

RUNNING, SUCCEEDED, FAILED, CANCELED = "Running", "Succeeded", "Failed", "Canceled"

_POLL_SECONDS = 0.1


class ImageBuildDetails:
    """A build that goes on in a thread of this process, which does not end before it.

    Args:
        environment_client: makes the image; given a function for the output and one that says whether to stop.
        location: the file that keeps the log, once it is known.
    """

    def __init__(self, environment_client: Callable[[Write, Stopped], Any], location: Callable[[], Path | None] | None = None) -> None:
        self._make = environment_client
        self._location = location
        self._lines: list[str] = []
        self._stop = threading.Event()
        self._status = RUNNING
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="mlflows-image-build")
        self._thread.start()

    @property
    def status(self) -> str:
        """``Running``, ``Succeeded``, ``Failed`` or ``Canceled``."""
        return self._status

    @property
    def log(self) -> str:
        """The output so far; of an image that was there already it says so."""
        return "".join(self._lines)

    def get_log(self) -> str:
        """The output so far."""
        return self.log

    def wait_for_completion(self, show_output: bool = True) -> ImageBuildDetails:
        """Wait for the end; Ctrl-C ends the build.

        Args:
            show_output: print the output as it comes.

        Raises:
            AzureMLException: the build failed: what, why, and where the log is.
        """
        shown = 0
        try:
            while True:
                alive = self._thread.is_alive()
                lines = self._lines[shown:]
                if show_output and lines:
                    sys.stdout.write("".join(lines))
                    sys.stdout.flush()
                shown += len(lines)
                if not alive:
                    break
                self._thread.join(_POLL_SECONDS)
        except KeyboardInterrupt:
            self._stop.set()
            self._thread.join()
            raise
        if show_output:
            print(f"Image Build Status: {self._status}")
        if self._error is not None:
            raise self._error
        return self

    def _run(self) -> None:
        try:
            self._make(self._lines.append, self._stop.is_set)
            self._status = SUCCEEDED
        except BuildStopped:
            self._status = CANCELED
        except AzureMLException as error:
            self._lines.append(error.message + "\n")
            self._error, self._status = error, FAILED
        except BaseException as error:  # shown by whoever waits
            self._error, self._status = error, FAILED

    def __repr__(self) -> str:
        return f"ImageBuildDetails(status={self._status!r})"


class DockerImageDetails(dict[str, Any]):
    """What is known of an environment's image, with SDK v1's keys."""

    @property
    def image_exist(self) -> bool:
        """Whether the engine or the workspace's registry has it."""
        return bool(self.get("imageExistsInRegistry"))

    @property
    def image(self) -> dict[str, Any]:
        """Name and registry."""
        return dict(self.get("dockerImage") or {})

    @property
    def repository(self) -> str | None:
        """The name to pull or run it by, without the registry's address."""
        return self.image.get("name")

    @property
    def registry(self) -> dict[str, Any] | None:
        """Address and user name of the registry; None without one. The password is the workspace's secret."""
        return self.image.get("registry")

    @property
    def interpreter_path(self) -> str | None:
        """Path of python in the image."""
        return (self.get("pythonEnvironment") or {}).get("interpreterPath")

    @property
    def environment_path(self) -> str | None:
        """Folder of the environment in the image; None where python is the person's own."""
        return (self.get("pythonEnvironment") or {}).get("condaEnvironmentPath")

    @property
    def dockerfile(self) -> str | None:
        """The Dockerfile; None for an image that is used as it is."""
        return (self.get("ingredients") or {}).get("dockerfile")

    def __str__(self) -> str:
        return json.dumps(self, indent=4)
