"""Internals of SDK v1 that scripts reach into."""

from mlflows._lazy import extend_path

__path__ = extend_path(__path__, __name__)
