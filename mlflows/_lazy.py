"""Module attributes that are imported when first used, also on Python 3.6 (which has no PEP 562)."""

import importlib
import sys
import types


class _LazyModule(types.ModuleType):
    _lazy_names = {}  # type: dict[str, str]

    def __getattr__(self, name):
        # type: (str) -> object
        target = self._lazy_names.get(name)
        if target is None:
            raise AttributeError("module {!r} has no attribute {!r}".format(self.__name__, name))
        module_name, _, attribute = target.partition(":")
        module = importlib.import_module(module_name)
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
