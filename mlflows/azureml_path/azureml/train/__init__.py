"""azureml.train: nothing of it is here yet; each name says what to use instead."""

from mlflows._lazy import extend_path, lazy

__path__ = extend_path(__path__, __name__)

lazy(__name__, {})
