"""Old home of the exceptions."""

from mlflows._lazy import extend_path

__path__ = extend_path(__path__, __name__)
