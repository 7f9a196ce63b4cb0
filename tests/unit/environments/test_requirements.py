"""What a definition asks for, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlflows.environments import requirements
from mlflows.exceptions import UserErrorException


def definition(*dependencies: Any, pip: list[str] | None = None, channels: list[str] | None = None) -> dict[str, Any]:
    items = [*dependencies, *([{"pip": pip}] if pip is not None else [])]
    return {"name": "x", "python": {"condaDependencies": {"dependencies": items, "channels": channels or []}}}


def test_packages_to_install() -> None:
    assert requirements.packages_to_install({}) == []
    found = requirements.packages_to_install({"dependencies": ["python=3.6", "scipy", {"pip": ["--pre", "azureml-sdk", "torch"]}]})
    assert found == ["scipy", "torch"]


def test_azureml_packages_of_an_index_are_left_out() -> None:
    lines = [
        "six",
        "azureml-core==1.2",
        "AzureML_Mlflow",
        "azureml",
        "azureml-dataset-runtime[pandas]",
        "/w/azureml_mine-1-py3-none-any.whl",
    ]
    found = definition("python=3.8", "conda-forge::azureml-sdk", "numpy", pip=lines)
    assert requirements.pip_lines(found) == ["six", "/w/azureml_mine-1-py3-none-any.whl", "pandas", "pyarrow"]
    assert requirements.conda_packages(found) == ["python=3.8", "numpy"]
    assert requirements.left_out(found) == ["conda-forge::azureml-sdk", *lines[1:5]]


@pytest.mark.parametrize(
    ("conda", "pip", "added"),
    [
        (["python=3.8"], ["azureml-defaults"], []),
        (["python=3.8"], ["azureml-defaults", "pandas==1.2"], ["pyarrow"]),
        (["python=3.8", "pandas"], ["azureml-sdk"], ["pyarrow"]),
        (["python=3.8", "conda-forge::pandas=1", "pyarrow"], ["azureml-defaults"], []),
        (["python=3.8"], ["azureml-dataset-runtime"], ["pandas", "pyarrow"]),
        (["python=3.8"], ["azureml_dataprep[pandas,fuse]>=4", "Pandas"], ["pyarrow"]),
        (["python=3.8"], ["azureml-dataset-runtime[pandas,fuse]", "pandas", "pyarrow==6"], []),
        (["python=3.8"], ["azureml-core", "pandas"], []),
        (["python=3.8"], ["--find-links /w/azureml-dataprep", "six"], []),
    ],
)
def test_what_tables_need_stays(conda: list[str], pip: list[str], added: list[str]) -> None:
    found = definition(*conda, pip=pip)
    assert requirements.in_place_of_ours(found) == added
    assert requirements.pip_lines(found) == [line for line in pip if not line.startswith("azureml")] + added
    kept = requirements.packages_to_install(found["python"]["condaDependencies"])
    assert kept[len(kept) - len(added) :] == added


@pytest.mark.parametrize(
    ("packages", "needed"),
    [(["python=3.8", "pip=20", "setuptools", "wheel"], False), (["python", "numpy"], True), (["azureml-sdk"], False), ([], False)],
)
def test_needs_conda(packages: list[str], needed: bool) -> None:
    assert requirements.needs_conda(definition(*packages)) is needed


@pytest.mark.parametrize(
    ("package", "request_", "meets", "does_not"),
    [
        ("python=3.8.13", "3.8.13", "3.8.13", "3.8.12"),
        ("python=3.8", "3.8", "3.8.1", "3.9.1"),
        ("python==3.8", "==3.8", "3.8.7", "3.7.7"),
        ("python=3.8.13=h12debd9_0", "3.8.13", "3.8.13", "3.8.1"),
        ("python 3.8.13 h12debd9_0", "3.8.13", "3.8.13", "3.8.1"),
        ("conda-forge::python=3.8.*", "3.8.*", "3.8.1", "3.18.1"),
        ("python>=3.6,<3.9", ">=3.6,<3.9", "3.8.20", "3.9.0"),
        ("python ~=3.8", "~=3.8", "3.12.0", "3.7.9"),
        ("python!=3.9", "!=3.9", "3.10.0", "3.9.4"),
        ("python>3.8", ">3.8", "3.9.0", "3.8.4"),
        ("python<=3.8.5", "<=3.8.5", "3.8.5", "3.8.6"),
        ("python=3", "3", "3.6.0", "2.7.0"),
    ],
)
def test_requests_for_a_python(package: str, request_: str, meets: str, does_not: str) -> None:
    assert requirements.python_request(definition(package)) == request_
    wanted = requirements.conditions(request_)
    assert requirements.satisfies([int(part) for part in meets.split(".")], wanted)
    assert not requirements.satisfies([int(part) for part in does_not.split(".")], wanted)


@pytest.mark.parametrize("package", ["python", "numpy"])
def test_any_python(package: str) -> None:
    assert requirements.python_request(definition(package)) is None


@pytest.mark.parametrize("request_", ["2.6", "2.7.18", "3.5", "4.0", "<3.6", ">=3.9,<3.8"])
def test_pythons_that_cannot_be(request_: str) -> None:
    with pytest.raises(UserErrorException, match=f"conda_dependencies: python {request_}: a run needs python 3, from 3.6 on. Ask for"):
        requirements.conditions(request_)


@pytest.mark.parametrize("request_", ["three", "3.x", "3,8", "latest", "3.8;3.9"])
def test_versions_that_are_none(request_: str) -> None:
    with pytest.raises(UserErrorException, match="is not a version of python. Write for instance 3.10|a run needs python 3"):
        requirements.conditions(request_)


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("--index-url https://a/b=c", ("--index-url", "https://a/b=c")),
        ("--find-links=https://a", ("--find-links", "https://a")),
        ("-f./x", ("-f", "./x")),
        ("-i  https://a", ("-i", "https://a")),
        ("--pre", ("--pre", "")),
    ],
)
def test_options(line: str, option: tuple[str, str]) -> None:
    assert requirements.option_of(line) == option


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("./a.whl", "./a.whl"),
        ("/b/c[extra]", "/b/c"),
        ("wheels/a-1-py3-none-any.whl", "wheels/a-1-py3-none-any.whl"),
        ("file:///b/c%20d.zip", "/b/c d.zip"),
        ("name @ file:///b.zip", "/b.zip"),
        ("name[extra] @ ./b.zip", "./b.zip"),
        ("-e ./project", "./project"),
        ("--constraint=c.txt", "c.txt"),
        ("-r more.txt", "more.txt"),
        ("--find-links https://a/b.html", None),
        ("-f ./wheels", "./wheels"),
        ("git+https://a/b.git#egg=c", None),
        ("https://a/b.whl", None),
        ("six==1.2 --hash=sha256:ab", None),
        ("six; python_version < '3.8'", None),
    ],
)
def test_paths_in_lines(line: str, path: str | None) -> None:
    assert requirements.path_in(line) == path


def test_paths_become_absolute_and_files_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, code = tmp_path / "here", tmp_path / "code"
    (here / "wheels").mkdir(parents=True)
    code.mkdir()
    for path in (here / "wheels" / "a-1-py3-none-any.whl", code / "b.zip", here / "c.txt", code / "inner.whl"):
        path.write_text("")
    (code / "more.txt").write_text("six==1.0  # a comment\n\n# nothing\n-r last.txt\n./inner.whl\nazureml-core\n")
    (code / "last.txt").write_text("toolz \\\n  ==0.1\n")
    monkeypatch.chdir(here)
    lines = [
        "wheels/a-1-py3-none-any.whl",
        "b @ ./b.zip",
        "./b.zip[extra]",
        "-c c.txt",
        "-r more.txt",
        "-f wheels",
        "six",
        "https://x/y.whl",
    ]
    given = definition("python=3.8", pip=lines)
    found = requirements.localized(given, str(code))
    assert requirements.pip_lines(found) == [
        f"{here}/wheels/a-1-py3-none-any.whl",
        f"b @ {code}/b.zip",
        f"{code}/b.zip[extra]",
        f"-c {here}/c.txt",
        "six==1.0",
        "toolz    ==0.1",
        f"{code}/inner.whl",
        f"-f {here}/wheels",
        "six",
        "https://x/y.whl",
    ]
    assert given == definition("python=3.8", pip=lines), "it was changed"
    requirements.check(found)


def test_what_needs_no_change_is_not_copied() -> None:
    given = definition("python=3.8", pip=["six"])
    assert requirements.localized(given, "/")["python"] is given["python"]


def test_passwords_are_not_in_messages() -> None:
    with pytest.raises(UserErrorException) as caught:
        requirements.check(definition(pip=["--frobnicate https://me:hunter2@host/"]))
    assert "hunter2" not in caught.value.message and "'--frobnicate' is not known" in caught.value.message


@pytest.mark.parametrize(
    "dependency",
    [
        {"pip": "--index-url https://me:CANARY@h/s"},
        {"pip": ["six", 1, "https://h/a.whl?sig=CANARY"]},
        {"conda": ["https://me:CANARY@h/a.conda"]},
        " --index-url https://me:CANARY@h/s",
    ],
)
def test_a_message_shows_no_password(dependency: Any) -> None:
    with pytest.raises(UserErrorException) as caught:
        requirements.check(definition(dependency))
    assert "CANARY" not in str(caught.value) and "****" in caught.value.message
