"""CondaDependencies against SDK v1's documented behaviour."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlflows.environments.conda_dependencies import CPU, GPU, CondaDependencies, conda_name, pip_name
from mlflows.exceptions import UserErrorException


def parts(dependencies: CondaDependencies) -> tuple[list[str], list[str], list[str], list[str]]:
    return (
        list(dependencies.conda_channels),
        list(dependencies.conda_packages),
        list(dependencies.pip_packages),
        list(dependencies.pip_options),
    )


def test_default_object() -> None:
    dependencies = CondaDependencies()
    assert parts(dependencies) == (["anaconda", "conda-forge"], ["python=3.8.13"], ["azureml-defaults"], [])
    assert dependencies.get_python_version() == "3.8.13"
    assert dependencies.get_default_number_of_packages() == 2


def test_create_defaults() -> None:
    assert parts(CondaDependencies.create())[1:] == (["python=3.10.18"], ["azureml-defaults"], [])


def test_create_pip_list_replaces_the_default() -> None:
    dependencies = CondaDependencies.create(pip_packages=["torch==2.1"], conda_packages=["numpy=1.2", "pip"], python_version="3.7")
    assert parts(dependencies)[1:] == (["python=3.7", "numpy=1.2", "pip"], ["torch==2.1"], [])


def test_create_with_an_index() -> None:
    dependencies = CondaDependencies.create(pip_indexurl="https://example.org/simple", pip_packages=["a"])
    assert list(dependencies.pip_options) == [
        "--find-links https://example.org/simple",
        "--extra-index-url https://example.org/simple",
    ]
    dependencies.set_pip_index_url("https://example.net/simple")
    assert list(dependencies.pip_options) == [
        "--find-links https://example.net/simple",
        "--extra-index-url https://example.net/simple",
    ]
    assert list(dependencies.pip_packages) == ["a"]


def test_adding_a_package_again_replaces_it() -> None:
    dependencies = CondaDependencies()
    for package in ("pandas==1.0", "scikit_learn", "Pandas>=2", "scikit-learn[extra]==1"):
        dependencies.add_pip_package(package)
    for package in ("numpy=1.1", "conda-forge::numpy>=1.2"):
        dependencies.add_conda_package(package)
    assert list(dependencies.pip_packages) == ["azureml-defaults", "Pandas>=2", "scikit-learn[extra]==1"]
    assert list(dependencies.conda_packages) == ["python=3.8.13", "conda-forge::numpy>=1.2"]


def test_removing() -> None:
    dependencies = CondaDependencies.create(pip_packages=["a==1", "b"], conda_packages=["c=1", "d"])
    dependencies.remove_pip_package("a")
    dependencies.remove_conda_package("c")
    dependencies.remove_pip_package("absent")
    dependencies.remove_channel("anaconda")
    dependencies.add_channel("pytorch")
    dependencies.add_channel("pytorch")
    assert parts(dependencies) == (["conda-forge", "pytorch"], ["python=3.10.18", "d"], ["b"], [])


def test_python_keeps_one_entry() -> None:
    dependencies = CondaDependencies.create(conda_packages=["numpy"])
    dependencies.add_conda_package("python=3.6.2")
    dependencies.set_python_version("3.9")
    assert list(dependencies.conda_packages) == ["python=3.9", "numpy"]


@pytest.mark.parametrize(
    "entry, version", [("python=3.7", "3.7"), ("python==3.7.1", "3.7.1"), ("python>=3.6", ">=3.6"), ("python 3.8", "3.8"), ("python", None)]
)
def test_python_version_of_an_entry(entry: str, version: str | None) -> None:
    assert CondaDependencies(_underlying_structure={"dependencies": [entry]}).get_python_version() == version


def test_options() -> None:
    dependencies = CondaDependencies.create(pip_packages=["a"])
    dependencies.set_pip_option("--extra-index-url https://one")
    dependencies.set_pip_option("--extra-index-url https://two")
    dependencies.set_pip_option("--extra-index-url https://two")
    assert len(list(dependencies.pip_options)) == 2
    dependencies.remove_pip_option("--extra-index-url https://one")
    assert list(dependencies.pip_options) == ["--extra-index-url https://two"]
    dependencies.remove_pip_option("--extra-index-url")
    assert list(dependencies.pip_options) == []


def test_requirements_replace_everything() -> None:
    dependencies = CondaDependencies()
    dependencies.set_pip_requirements(["--pre", "torch"])
    assert parts(dependencies)[2:] == (["torch"], ["--pre"])


def test_framework_helpers() -> None:
    dependencies = CondaDependencies.create(pip_packages=[])
    dependencies.add_tensorflow_pip_package(CPU, "2.1")
    dependencies.add_tensorflow_pip_package(GPU, "1.15")
    dependencies.add_tensorflow_conda_package(GPU, "1.15")
    dependencies.add_tensorflow_conda_package(version="2.0")
    dependencies.add_cntk_package()
    assert parts(dependencies)[1:3] == (["python=3.10.18", "tensorflow=2.0"], ["tensorflow-gpu==1.15", "cntk"])


def test_merge_requirements() -> None:
    merged = CondaDependencies.merge_requirements(["a>=1", "b", "A<2", "a>=1", "b==3"])
    assert merged == ["a>=1,<2", "b==3"]


def test_files(tmp_path: Path) -> None:
    dependencies = CondaDependencies.create(pip_packages=["a"], conda_packages=["b"])
    relative = dependencies.save_to_file(tmp_path, "sub/env.yml")
    assert relative == "sub/env.yml"
    assert CondaDependencies(tmp_path / relative) == dependencies
    assert dependencies.save_to_file(tmp_path) == "conda_dependencies.yml"
    saved = dependencies.save(tmp_path / "other.yml")
    assert CondaDependencies(conda_dependencies_file_path=saved) == dependencies


def test_serialised_text_is_a_conda_file() -> None:
    text = CondaDependencies.create(pip_packages=["a"]).serialize_to_string()
    assert yaml.safe_load(text)["dependencies"] == ["python=3.10.18", {"pip": ["a"]}]


def test_as_dict_is_a_copy() -> None:
    dependencies = CondaDependencies()
    dependencies.as_dict()["dependencies"].clear()
    assert list(dependencies.conda_packages)


def test_a_file_without_pip_section_or_with_an_empty_one(tmp_path: Path) -> None:
    for text in ("dependencies: [python=3.8]", "dependencies:\n- python=3.8\n- pip:\n", "name: x\n"):
        file = tmp_path / "conda.yml"
        file.write_text(text)
        dependencies = CondaDependencies(file)
        assert list(dependencies.pip_packages) == []
        dependencies.add_pip_package("a")
        assert list(dependencies.pip_packages) == ["a"]


class TestBadInput:
    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="none.yml"):
            CondaDependencies(tmp_path / "none.yml")

    @pytest.mark.parametrize(
        "text, expected",
        [
            ("numpy\npandas==1.0\n", "from_pip_requirements"),
            ("dependencies: []\npackages: []\n", r"unknown keys \['packages'\].*name, channels, dependencies, prefix, variables"),
            ("dependencies: numpy\n", "dependencies must be a list"),
            ("a: [", "is not YAML"),
        ],
    )
    def test_not_a_specification(self, tmp_path: Path, text: str, expected: str) -> None:
        file = tmp_path / "requirements.txt"
        file.write_text(text)
        with pytest.raises(UserErrorException, match=rf"(?s)requirements.txt.*{expected}"):
            CondaDependencies(str(file))

    @pytest.mark.parametrize(
        "method, value, expected",
        [
            ("add_pip_package", "--pre", "pip_package: '--pre' starts with '-'. Use set_pip_option"),
            ("add_pip_package", 3, "pip_package: expected a name such as 'numpy', got 3"),
            ("remove_pip_package", "-x", "pip_package: '-x' starts with '-'. Use remove_pip_option"),
            ("add_conda_package", "-c", "conda_package: '-c' starts with '-'"),
            ("add_conda_package", "", "conda_package: expected a name"),
            ("remove_conda_package", "python=3.6", "'python=3.6' cannot be removed.*set_python_version"),
            ("set_pip_option", "pre", "pip_option: 'pre' does not start with '-'.*add_pip_package"),
            ("remove_pip_option", "pre", "pip_option: 'pre' does not start with '-'"),
            ("set_pip_requirements", "numpy", r"pip_requirements: expected a list of names, got the string 'numpy'. Write \['numpy'\]"),
            ("add_tensorflow_pip_package", "tpu", "core_type: expected 'cpu' or 'gpu', got 'tpu'"),
        ],
    )
    def test_methods(self, method: str, value: object, expected: str) -> None:
        with pytest.raises(UserErrorException, match=expected):
            getattr(CondaDependencies(), method)(value)

    def test_a_string_for_a_list(self) -> None:
        with pytest.raises(UserErrorException, match=r"conda_packages.*Write \['numpy'\]"):
            CondaDependencies.create(conda_packages="numpy")

    def test_saving_onto_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="is a folder. Give the path of a file"):
            CondaDependencies().save(tmp_path)


@pytest.mark.parametrize(
    "requirement, name",
    [
        ("numpy", "numpy"),
        ("Scikit_Learn >= 1", "scikit-learn"),
        ("torch[cuda]==2 ; python_version > '3'", "torch"),
        ("pkg @ https://example.org/pkg.zip", "pkg"),
        ("git+https://example.org/x.git#egg=My_Pkg", "my-pkg"),
        ("https://example.org/a/My_Pkg-1.0-py3-none-any.whl", "my-pkg"),
        ("./local/folder", "./local/folder"),
    ],
)
def test_pip_names(requirement: str, name: str) -> None:
    assert pip_name(requirement) == name


@pytest.mark.parametrize("package", ["numpy", "numpy=1.2=py37", "conda-forge::Numpy>=1", "numpy[version='1']"])
def test_conda_names(package: str) -> None:
    assert conda_name(package) == "numpy"


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(lambda name: name != "python")
PACKAGES = st.builds(lambda name, version: f"{name}{version}", NAMES, st.sampled_from(["", "=1.2", "==1.0.1", ">=2"]))


@given(channels=st.lists(NAMES), conda=st.lists(PACKAGES), pip=st.lists(PACKAGES), options=st.lists(NAMES))
def test_round_trip(channels: list[str], conda: list[str], pip: list[str], options: list[str]) -> None:
    dependencies = CondaDependencies.create(pip_packages=pip, conda_packages=conda)
    for channel in channels:
        dependencies.add_channel(channel)
    for option in options:
        dependencies.set_pip_option(f"--{option}")
    assert CondaDependencies(_underlying_structure=dependencies.as_dict()) == dependencies
    assert CondaDependencies(_underlying_structure=yaml.safe_load(dependencies.serialize_to_string())) == dependencies
    assert len({pip_name(name) for name in dependencies.pip_packages}) == len(list(dependencies.pip_packages))
    assert len({conda_name(name) for name in dependencies.conda_packages}) == len(list(dependencies.conda_packages))
