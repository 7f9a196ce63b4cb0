"""Module attributes that are imported when first used, also on Python 3.6 (which has no PEP 562).

Imports nothing itself but ``sys``: every training script pays for what is imported here.
"""

import sys

ABSENT_NAMES = "azureml._absent"
"""Module with ``explain(name)``: a sentence for a name of SDK v1 that does not exist here, or None."""


class _LazyModule(type(sys)):  # type: ignore[misc]
    _lazy_names = {}  # type: dict[str, str]

    def __getattr__(self, name):
        # type: (str) -> object
        target = self._lazy_names.get(name)
        if target is None:
            raise _missing(self.__name__, name)
        module_name, _, attribute = target.partition(":")
        __import__(module_name)
        module = sys.modules[module_name]
        value = getattr(module, attribute) if attribute else module
        self.__dict__[name] = value
        return value

    def __dir__(self):
        # type: () -> list[str]
        return sorted(set(self.__dict__) | set(self._lazy_names))


def lazy(module_name, names):
    # type: (str, dict[str, str]) -> None
    """Give module ``module_name`` the attributes ``names``: name -> "package.module:attribute"."""
    module = sys.modules[module_name]
    module.__class__ = type("_LazyModule", (_LazyModule,), {"_lazy_names": dict(names)})
    module.__dict__.setdefault("__all__", sorted(name for name in names if not name.startswith("_")))


def _missing(module_name, name):
    # type: (str, str) -> Exception
    """AttributeError, as for any module; ImportError with a sentence for a name of SDK v1 that we do not have.

    Not an AttributeError there, because ``from module import name`` would replace its message by one of its own.
    """
    if module_name.partition(".")[0] == "azureml" and not name.startswith("__"):
        __import__(ABSENT_NAMES)
        sentence = sys.modules[ABSENT_NAMES].explain("{}.{}".format(module_name, name))
        if sentence:
            return ImportError(sentence, name=module_name)
    return AttributeError("module {!r} has no attribute {!r}".format(module_name, name))
