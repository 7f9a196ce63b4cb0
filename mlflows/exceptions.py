"""SDK v1's exception tree (``azureml.exceptions``).

Standard library only, Python 3.6 syntax: training scripts import these names too.
"""

import json


class AzureMLException(Exception):
    """Root of every error this package raises on purpose.

    ``str(e)`` has several lines, as users of SDK v1 know it: the class, the message, the inner
    exception and the error as JSON. ``e.message`` is the message alone and may be assigned.
    """

    _error_code = "SystemError"

    def __init__(self, exception_message, inner_exception=None, target=None, details=None, **kwargs):
        # type: (str, object, object, object, object) -> None
        super().__init__(exception_message)
        self._exception_message = exception_message
        self._inner_exception = inner_exception
        self._target = target
        self._details = details

    @property
    def message(self):
        # type: () -> str
        """The message alone."""
        return self._exception_message

    @message.setter
    def message(self, value):
        # type: (str) -> None
        self._exception_message = value

    @property
    def inner_exception(self):
        # type: () -> object
        """The exception that led to this one, or None."""
        return self._inner_exception

    def _serialize_json(self):
        # type: () -> str
        error = {"code": self._error_code, "message": self._exception_message}
        if self._target is not None:
            error["target"] = str(self._target)
        if self._details is not None:
            error["details"] = self._details  # type: ignore[assignment]
        return json.dumps({"error": error}, indent=4, default=str)

    def __repr__(self):
        # type: () -> str
        return "{}:\n\tMessage: {}\n\tInnerException {}\n\tErrorResponse \n{}".format(
            type(self).__name__, self._exception_message, self._inner_exception, self._serialize_json()
        )

    def __str__(self):
        # type: () -> str
        return self.__repr__()


class UserErrorException(AzureMLException):
    """A bad argument, a bad name, something named that does not exist."""

    _error_code = "UserError"


class AuthenticationException(UserErrorException):
    """A server refused the credentials."""


class RunConfigurationException(AzureMLException):
    """A section of the run configuration has the wrong type or value."""

    _error_code = "UserError"


class ExperimentExecutionException(AzureMLException):
    """The run could not be started, or waiting for it was interrupted."""


class ActivityFailedException(AzureMLException):
    """``wait_for_completion`` found that the run Failed."""

    def __init__(self, error_details, inner_exception=None, target=None, details=None, **kwargs):
        # type: (str, object, object, object, object) -> None
        super().__init__("Activity Failed:\n{}".format(error_details), inner_exception, target, details, **kwargs)


class SnapshotException(AzureMLException):
    """The source directory could not be stored."""


class RunEnvironmentException(AzureMLException):
    """``Run.get_context(allow_offline=False)`` outside a job."""

    def __init__(self, inner_exception=None, **kwargs):
        # type: (object, object) -> None
        super().__init__(
            "Could not load a submitted run: this process was not started by mlflows. "
            "Submit the script, or call Run.get_context() without allow_offline=False.",
            inner_exception,
            **kwargs,
        )


class TrainingException(AzureMLException):
    """Arguments of an Estimator contradict each other."""

    _error_code = "UserError"


class ComputeTargetException(AzureMLException):
    """A compute target does not exist or its configuration is wrong."""


class WorkspaceException(AzureMLException):
    """A workspace does not exist or exists already."""

    def __init__(self, exception_message, found_multiple=False, inner_exception=None, **kwargs):
        # type: (str, bool, object, object) -> None
        super().__init__(exception_message, inner_exception, **kwargs)
        self.found_multiple = found_multiple


class WebserviceException(AzureMLException):
    """A model or service does not exist, has a bad name, or failed to deploy."""

    def __init__(self, exception_message, status_code=None, inner_exception=None, **kwargs):
        # type: (str, object, object, object) -> None
        super().__init__(exception_message, inner_exception, **kwargs)
        self.status_code = status_code


class ModelNotFoundException(AzureMLException):
    """``Model.get_model_path`` found the model neither here nor in the workspace."""


class ModelPathNotFoundException(AzureMLException):
    """``register_model`` was given a path that is not among the run's files."""

    _error_code = "UserError"


class ProjectSystemException(AzureMLException):
    """A project folder is unusable."""


class DiscoveryUrlNotFoundException(AzureMLException):
    """Kept for compatibility; there is no discovery service."""


class DatasetTimestampMissingError(AzureMLException):
    """A time filter was used on a dataset without timestamp columns."""

    _error_code = "UserError"


class ParallelRunException(AzureMLException):
    """A parallel run step is misconfigured."""


class AzureMLAggregatedException(AzureMLException):
    """Several exceptions in one."""


class ServiceException(AzureMLException):
    """A server answered with an error."""

    def __init__(self, exception_message, status_code=None, inner_exception=None, **kwargs):
        # type: (str, object, object, object) -> None
        super().__init__(exception_message, inner_exception, **kwargs)
        self.status_code = status_code


class WorkspacePrivateEndpointException(AzureMLException):
    """Kept for compatibility; there are no private endpoints."""
