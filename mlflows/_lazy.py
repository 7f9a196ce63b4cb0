"""Module attributes that are imported when first used, also on Python 3.6 (which has no PEP 562).

Imports nothing itself but ``os`` and ``sys``: every training script pays for what is imported here.
"""

import os
import sys

OLDEST = (3, 10)
"""Python from which on the whole package can be imported; on an older one, in a job, only what is in ANYWHERE."""

ANYWHERE = ("mlflows.job.", "mlflows.exceptions:", "azureml.")

ABSENT_NAMES = "azureml._absent"
"""Module whose ``NAMES`` says, for names of SDK v1 that are not here, what works instead."""


class _LazyModule(type(sys)):  # type: ignore[misc]
    _lazy_names = {}  # type: dict[str, str]

    def __getattr__(self, name):
        # type: (str) -> object
        target = self._lazy_names.get(name)
        if target is None:
            raise _missing(str(self.__name__), name)
        value = _load(name, target)
        self.__dict__[name] = value
        return value

    def __dir__(self):
        # type: () -> list[str]
        return sorted(set(self.__dict__) | set(self._lazy_names))


def lazy(module_name, names):
    # type: (str, dict[str, str]) -> None
    """Give module ``module_name`` the attributes ``names``: name -> "package.module:attribute", or "package.module" for a module."""
    module = sys.modules[module_name]
    module.__class__ = type("_LazyModule", (_LazyModule,), {"_lazy_names": dict(names)})
    module.__dict__.setdefault("__all__", sorted(name for name in names if ":" in names[name] and not name.startswith("_")))


def extend_path(path, package):
    # type: (list[str], str) -> list[str]
    """``path`` and every other folder of that package on sys.path, so that a genuine one beside ours goes on working.

    pkgutil's function of that name does more, and costs more than everything else here.
    """
    folders = (os.path.join(entry or ".", *package.split(".")) for entry in sys.path)
    return list(path) + [folder for folder in folders if folder not in path and os.path.isdir(folder)]


def explain_absent_modules(prefix):
    # type: (str) -> None
    """An import of a module below ``prefix`` that nobody has fails with the sentence of ABSENT_NAMES."""
    if not any(isinstance(finder, _AbsentFinder) for finder in sys.meta_path):
        sys.meta_path.append(_AbsentFinder(prefix))


class _AbsentFinder:
    """Last on sys.meta_path: asked only when nobody has found the module."""

    def __init__(self, prefix):
        # type: (str) -> None
        self._prefix = prefix

    def find_spec(self, name, path=None, target=None):
        # type: (str, object, object) -> None
        if name.startswith(self._prefix) and name != ABSENT_NAMES:
            sentence = _sentence(name)
            if sentence:
                raise ModuleNotFoundError(sentence, name=name)


def _load(name, target):
    # type: (str, str) -> object
    module_name, _, attribute = target.partition(":")
    if sys.version_info < OLDEST and not target.startswith(ANYWHERE):
        return _placeholder(name)
    __import__(module_name)
    module = sys.modules[module_name]
    return getattr(module, attribute) if attribute else module


def _placeholder(name):
    # type: (str) -> type
    """Stands for a class of the submitting side on an interpreter too old for it: a script may import it, not use it."""
    sentence = "{} needs Python {}.{} or newer; this is {}.{}. A script in a job can use Run, Workspace, Experiment and Dataset.".format(
        name, OLDEST[0], OLDEST[1], *sys.version_info[:2]
    )

    class Meta(type):
        def __getattr__(cls, attribute):
            # type: (str) -> object
            raise AttributeError(sentence) if attribute.startswith("__") else ImportError(sentence)

    def refuse(self, *args, **kwargs):
        # type: (object, object, object) -> None
        raise ImportError(sentence)

    return Meta(name, (), {"__init__": refuse, "__doc__": sentence})


def _missing(module_name, name):
    # type: (str, str) -> Exception
    """AttributeError, as for any module; ImportError with a sentence for a name of SDK v1 that we do not have.

    Not an AttributeError there, because ``from module import name`` would replace its message by one of its own.
    """
    if module_name.partition(".")[0] == ABSENT_NAMES.partition(".")[0] and not name.startswith("__"):
        sentence = _sentence("{}.{}".format(module_name, name))
        if sentence:
            return ImportError(sentence, name=module_name)
    return AttributeError("module {!r} has no attribute {!r}".format(module_name, name))


def _sentence(name):
    # type: (str) -> str | None
    """What ABSENT_NAMES has for a name, or for a package it is in."""
    __import__(ABSENT_NAMES)
    known = sys.modules[ABSENT_NAMES].NAMES
    while name:
        if name in known:
            return "mlflows does not have {} yet: {}".format(name, known[name])
        name = name.rpartition(".")[0]
    return None
