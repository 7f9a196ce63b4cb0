"""CondaDependencies: the packages of an environment, in the form of a conda specification file."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlflows.environments.credentials import masked, masked_definition
from mlflows.environments.files import beside, read_text
from mlflows.exceptions import UserErrorException

CPU = "cpu"
GPU = "gpu"

PYTHON_DEFAULT_VERSION = "3.10.18"
"""What ``CondaDependencies.create`` and a specification file without python get."""
DEFAULT_STRUCTURE_PYTHON = "3.8.13"
"""What ``CondaDependencies()`` has."""
DEFAULT_PIP_PACKAGE = "azureml-defaults"
DEFAULT_CHANNELS = ("anaconda", "conda-forge")
DEFAULT_FILE_NAME = "conda_dependencies.yml"

_ALLOWED_KEYS = ("name", "channels", "dependencies", "prefix", "variables")
_INDEX_URL = "https://pypi.org/simple"


class CondaDependencies:
    """Channels, conda packages, pip packages and pip options.

    Without arguments: python 3.8.13 and azureml-defaults from the channels anaconda and conda-forge, as in SDK v1. Packages named
    ``azureml-*`` are never installed: every job has those names from mlflows itself.
    """

    def __init__(
        self, conda_dependencies_file_path: str | os.PathLike[str] | None = None, _underlying_structure: Mapping[str, Any] | None = None
    ) -> None:
        """Read a conda specification file, or make the default object.

        Raises:
            FileNotFoundError: there is no such file.
            UserErrorException: the file is not a conda specification: not a YAML mapping, or with keys that conda does not know.
        """
        if conda_dependencies_file_path is not None:
            if not isinstance(conda_dependencies_file_path, (str, os.PathLike)):
                raise UserErrorException(
                    f"conda_dependencies_file_path: expected a path, got {conda_dependencies_file_path!r}. Give the path of a conda file."
                )
            structure = _read_specification(conda_dependencies_file_path)
        elif _underlying_structure is not None:
            if not isinstance(_underlying_structure, Mapping):  # of a file that a person has edited
                raise UserErrorException(
                    f"condaDependencies: expected an object with channels and dependencies, got {_underlying_structure!r}. Write for "
                    "instance {'dependencies': ['python=3.10', {'pip': ['numpy']}]}, or leave it out."
                )
            structure = copy.deepcopy(dict(_underlying_structure))
        else:
            structure = _default_structure()
        _check_structure(structure, conda_dependencies_file_path)
        self._structure = structure

    @staticmethod
    def create(
        pip_indexurl: str | None = None,
        pip_packages: Iterable[str] | None = None,
        conda_packages: Iterable[str] | None = None,
        python_version: str = PYTHON_DEFAULT_VERSION,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Make one from lists.

        ``pip_packages`` replaces azureml-defaults. ``pip_indexurl`` becomes ``--find-links`` and ``--extra-index-url``.
        ``pin_sdk_version`` has nothing to pin: ``azureml-*`` packages are not installed.

        Raises:
            UserErrorException: a package starts with ``-`` or is not a string; the version of python is none.
        """
        result = CondaDependencies()
        result.set_python_version(python_version)
        if pip_packages is not None:
            result.set_pip_requirements([])
        if not isinstance(pip_indexurl, (str, type(None))):
            raise UserErrorException(f"pip_indexurl: expected an address, got {pip_indexurl!r}. Give for instance '{_INDEX_URL}'.")
        if pip_indexurl:
            result.set_pip_index_url(pip_indexurl)
        for package in _listed(conda_packages, "conda_packages"):
            result.add_conda_package(package)
        for package in _listed(pip_packages, "pip_packages"):
            result.add_pip_package(package)
        return result

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> list[str]:
        """One requirement for each package: the version conditions of its repetitions are joined by commas, in order."""
        merged: dict[str, str] = {}
        for requirement in requirements:
            name = pip_name(requirement)
            if name not in merged:
                merged[name] = requirement
                continue
            condition = _condition(requirement)
            if condition and condition not in _condition(merged[name]).split(","):
                merged[name] += ("," if _condition(merged[name]) else "") + condition
        return list(merged.values())

    @staticmethod
    def sdk_origin_url() -> str:
        """The index from which packages come when none is set."""
        return _INDEX_URL

    @property
    def conda_channels(self) -> Iterator[str]:
        """Channels, in order of priority."""
        return iter(list(self._structure.get("channels") or []))

    @property
    def conda_packages(self) -> Iterator[str]:
        """Conda packages, python among them."""
        return iter([item for item in self._dependencies() if isinstance(item, str)])

    @property
    def pip_packages(self) -> Iterator[str]:
        """Pip packages, without pip's options."""
        return iter([line for line in self._pip() if not line.startswith("-")])

    @property
    def pip_options(self) -> Iterator[str]:
        """Pip's options, such as ``--extra-index-url URL``."""
        return iter([line for line in self._pip() if line.startswith("-")])

    def get_default_number_of_packages(self) -> int:
        """How many packages an object made without arguments has."""
        default = CondaDependencies()
        return len([*default.conda_packages, *default.pip_packages])

    def get_python_version(self) -> str | None:
        """Python's version, such as ``3.8.13``, or the condition on it, such as ``>=3.6``; None if there is none."""
        for package in self.conda_packages:
            if conda_name(package) == "python":
                return re.sub(r"^[^=<>!~\s]*[\s=]*", "", package) or None
        return None

    def set_python_version(self, version: str) -> None:
        """Ask for a version of python, in the place of the one there was.

        Raises:
            UserErrorException: it is no version.
        """
        if isinstance(version, bool) or not isinstance(version, (str, int, float)):
            raise UserErrorException(f"python_version: expected a string, got {version!r}. Write for instance '3.10'.")
        entry = f"python={version}" if str(version)[:1] not in "=<>!~" else f"python{version}"
        dependencies = self._dependencies()
        for index, item in enumerate(dependencies):
            if isinstance(item, str) and conda_name(item) == "python":
                dependencies[index] = entry
                return
        dependencies.insert(0, entry)

    def add_channel(self, channel: str) -> None:
        """Add a channel, if it is not there."""
        _check_package(channel, "channel")
        if channel not in self._structure.setdefault("channels", []):
            self._structure["channels"].append(channel)

    def remove_channel(self, channel: str) -> None:
        """Remove a channel, if it is there."""
        self._structure["channels"] = [item for item in self.conda_channels if item != channel]

    def add_conda_package(self, conda_package: str) -> None:
        """Add a conda package; an entry of the same name goes.

        Raises:
            UserErrorException: it starts with ``-`` or is not a string.
        """
        _check_package(conda_package, "conda_package")
        if conda_name(conda_package) == "python":
            self._replace_python(conda_package)
            return
        self._remove_conda(conda_name(conda_package))
        self._insert_conda(conda_package)

    def remove_conda_package(self, conda_package: str) -> None:
        """Remove a conda package, if it is there, whatever its version.

        Raises:
            UserErrorException: it is python, which an environment must have.
        """
        _check_package(conda_package, "conda_package")
        if conda_name(conda_package) == "python":
            raise UserErrorException(
                f"conda_package: {conda_package!r} cannot be removed, an environment needs python. Use set_python_version to change it."
            )
        self._remove_conda(conda_name(conda_package))

    def add_pip_package(self, pip_package: str) -> None:
        """Add a pip package at the end; an entry of the same name goes.

        Raises:
            UserErrorException: it starts with ``-`` (see ``set_pip_option``) or is not a string.
        """
        _check_package(pip_package, "pip_package", "Use set_pip_option for options of pip.")
        self.remove_pip_package(pip_package)
        self._pip(create=True).append(pip_package)

    def remove_pip_package(self, pip_package: str) -> None:
        """Remove a pip package, if it is there, whatever its version.

        Raises:
            UserErrorException: it starts with ``-`` (see ``remove_pip_option``) or is not a string.
        """
        _check_package(pip_package, "pip_package", "Use remove_pip_option for options of pip.")
        name = pip_name(pip_package)
        lines = self._pip()
        lines[:] = [line for line in lines if line.startswith("-") or pip_name(line) != name]

    def set_pip_index_url(self, index_url: str) -> None:
        """Use one more package index, in the place of the one set before: ``--find-links`` and ``--extra-index-url``."""
        for option in ("--find-links", "--extra-index-url"):
            self.remove_pip_option(option)
            self.set_pip_option(f"{option} {index_url}")

    def set_pip_option(self, pip_option: str) -> None:
        """Add an option of pip, such as ``--extra-index-url URL``, unless it is there.

        Raises:
            UserErrorException: it does not start with ``-``.
        """
        _check_option(pip_option)
        lines = self._pip(create=True)
        if pip_option not in lines:
            lines.insert(len(list(self.pip_options)), pip_option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Remove an option of pip: this very one if it has a value, else every one of this name.

        Raises:
            UserErrorException: it does not start with ``-``.
        """
        _check_option(pip_option)
        lines = self._pip()
        lines[:] = [line for line in lines if line != pip_option and re.split(r"[\s=]", line)[0] != pip_option]

    def set_pip_requirements(self, pip_requirements: Iterable[str]) -> None:
        """Put these lines, packages and options, in the place of all pip has."""
        self._pip(create=True)[:] = _listed(pip_requirements, "pip_requirements")

    def add_cntk_package(self, core_type: str = CPU) -> None:
        """Add CNTK for ``CPU`` or ``GPU``."""
        self.add_pip_package(_by_core("cntk", core_type))

    def add_tensorflow_pip_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow's pip package for ``CPU`` or ``GPU``."""
        self._remove_pip_names("tensorflow", "tensorflow-gpu")
        self.add_pip_package(_by_core("tensorflow", core_type) + (f"=={version}" if version else ""))

    def add_tensorflow_conda_package(self, core_type: str = CPU, version: str | None = None) -> None:
        """Add TensorFlow's conda package for ``CPU`` or ``GPU``."""
        for name in ("tensorflow", "tensorflow-gpu"):
            self._remove_conda(name)
        self.add_conda_package(_by_core("tensorflow", core_type) + (f"={version}" if version else ""))

    def as_dict(self) -> dict[str, Any]:
        """The conda specification; a copy."""
        return copy.deepcopy(self._structure)

    def serialize_to_string(self) -> str:
        """The conda specification as YAML text."""
        import yaml

        header = "# Conda environment specification: the packages a run is started with.\n"
        return header + str(yaml.safe_dump(self._structure, sort_keys=False, default_flow_style=False))

    def save_to_file(self, base_directory: str | os.PathLike[str], conda_file_path: str | os.PathLike[str] | None = None) -> str:
        """Write the specification to a file in a folder, ``conda_dependencies.yml`` by default.

        Returns:
            The file's path, relative to the folder.
        """
        relative = os.fspath(conda_file_path or DEFAULT_FILE_NAME)
        self._write(os.path.join(base_directory, relative))
        return relative

    def save(self, path: str | os.PathLike[str] | None = None) -> str:
        """Write the specification to ``path``, by default ``conda_dependencies.yml`` here.

        Returns:
            The file's absolute path.

        Raises:
            UserErrorException: ``path`` is a folder.
        """
        target = os.path.abspath(os.fspath(path or DEFAULT_FILE_NAME))
        if os.path.isdir(target):
            raise UserErrorException(f"path: {target} is a folder. Give the path of a file, such as {DEFAULT_FILE_NAME} in it.")
        self._write(target)
        return target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CondaDependencies) and self._structure == other._structure

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        shown = masked_definition({"python": {"condaDependencies": self._structure}})["python"]["condaDependencies"]
        return f"CondaDependencies({shown!r})"

    def _dependencies(self) -> list[Any]:
        if self._structure.get("dependencies") is None:
            self._structure["dependencies"] = []
        return self._structure["dependencies"]  # type: ignore[no-any-return]

    def _pip(self, create: bool = False) -> list[str]:
        dependencies = self._dependencies()
        for item in dependencies:
            if isinstance(item, dict) and "pip" in item:
                item["pip"] = item["pip"] if item["pip"] is not None else []
                return item["pip"]  # type: ignore[no-any-return]
        lines: list[str] = []
        if create:
            dependencies.append({"pip": lines})
        return lines

    def _replace_python(self, package: str) -> None:
        dependencies = self._dependencies()
        kept = [item for item in dependencies if not (isinstance(item, str) and conda_name(item) == "python")]
        dependencies[:] = [package, *kept]

    def _remove_conda(self, name: str) -> None:
        dependencies = self._dependencies()
        dependencies[:] = [item for item in dependencies if not (isinstance(item, str) and conda_name(item) == name)]

    def _insert_conda(self, package: str) -> None:
        dependencies = self._dependencies()
        index = next((i for i, item in enumerate(dependencies) if not isinstance(item, str)), len(dependencies))
        dependencies.insert(index, package)

    def _remove_pip_names(self, *names: str) -> None:
        lines = self._pip()
        lines[:] = [line for line in lines if line.startswith("-") or pip_name(line) not in names]

    def _write(self, path: str) -> None:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.serialize_to_string())


def conda_name(package: str) -> str:
    """Name of a conda package: ``conda-forge::numpy>=1.2`` is ``numpy``."""
    return re.split(r"[=<>!~\s\[;]", package.strip().rpartition("::")[2], maxsplit=1)[0].lower()


def pip_name(requirement: str) -> str:
    """Name of a pip requirement, normalised as PEP 503 says; of an address, the name its egg or wheel has, else the address."""
    requirement = requirement.strip()
    egg = re.search(r"#(?:.*&)?egg=([\w.\-]+)", requirement)
    wheel = re.search(r"(?:^|/)([A-Za-z0-9][\w.]*)-[^/]*\.whl$", requirement)
    plain = re.match(r"([A-Za-z0-9][\w.\-]*)\s*(?:$|[=<>!~\[;@\s])", requirement)
    found = egg or wheel or plain
    return re.sub(r"[-_.]+", "-", found.group(1)).lower() if found else requirement


def _condition(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9][\w.\-]*\s*(?:\[[^\]]*\])?\s*(.*)$", requirement.strip())
    return match.group(1) if match else ""


def _default_structure() -> dict[str, Any]:
    return {
        "name": "project_environment",
        "dependencies": [f"python={DEFAULT_STRUCTURE_PYTHON}", {"pip": [DEFAULT_PIP_PACKAGE]}],
        "channels": list(DEFAULT_CHANNELS),
    }


def _read_specification(path: str | os.PathLike[str]) -> Any:
    import yaml

    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise UserErrorException(f"{os.fspath(path)} is not YAML: {error}. Give a conda specification file.", error) from error
    dependencies = found.get("dependencies") if isinstance(found, dict) else None
    for item in dependencies if isinstance(dependencies, list) else ():
        if isinstance(item, dict) and isinstance(item.get("pip"), list):  # conda looks for files beside this one
            folder = os.path.dirname(path)
            item["pip"] = [beside(line, folder) if isinstance(line, str) else line for line in item["pip"]]
    return found


def _check_structure(structure: Any, path: str | os.PathLike[str] | None) -> None:
    source = os.fspath(path) if path is not None else "the conda specification"
    if not isinstance(structure, dict):
        raise UserErrorException(
            f"{source} is not a conda specification: expected a mapping with channels and dependencies, got {type(structure).__name__}. "
            "For a requirements.txt use Environment.from_pip_requirements."
        )
    unknown = [key for key in structure if key not in _ALLOWED_KEYS]
    if unknown:
        raise UserErrorException(f"{source}: unknown keys {unknown}. A conda specification has {', '.join(_ALLOWED_KEYS)}.")
    for key in ("channels", "dependencies"):
        if not isinstance(structure.get(key) or [], list):
            raise UserErrorException(f"{source}: {key} must be a list, got {masked(repr(structure[key]))}.")


def _check_package(package: Any, field: str, remedy: str = "Give the name of a package.") -> None:
    if not isinstance(package, str) or not package.strip():
        raise UserErrorException(f"{field}: expected a name such as 'numpy', got {package!r}.")
    if package.startswith("-"):
        raise UserErrorException(f"{field}: {masked(package)!r} starts with '-'. {remedy}")


def _check_option(option: Any) -> None:
    if not isinstance(option, str) or not option.startswith("-"):
        raise UserErrorException(f"pip_option: {masked(repr(option))} does not start with '-'. Use add_pip_package for packages.")


def _listed(values: Iterable[str] | None, field: str) -> list[str]:
    if isinstance(values, str):
        shown = masked(values)
        raise UserErrorException(f"{field}: expected a list of names, got the string {shown!r}. Write [{shown!r}].")
    if values is not None and not isinstance(values, Iterable):
        raise UserErrorException(f"{field}: expected a list of names, got {values!r}. Write for instance ['numpy'].")
    return list(values or [])


def _by_core(package: str, core_type: str) -> str:
    if core_type not in (CPU, GPU):
        raise UserErrorException(f"core_type: expected {CPU!r} or {GPU!r}, got {core_type!r}.")
    return package if core_type == CPU else f"{package}-gpu"
