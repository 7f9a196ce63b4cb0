"""Files of requirements and conda specifications as they come: encodings, files that name files, files that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflows.environments import requirements
from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException

CONDA = "dependencies:\n- python=3.11\n- pip:\n  - torch\n"


def pip_lines(environment: Environment) -> list[str]:
    return requirements.pip_lines(environment._serialize_to_dict())


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_what_editors_write(self, tmp_path: Path, encoding: str) -> None:
        (tmp_path / "r.txt").write_text("numpy\r\ntorch # größer\r\n", encoding=encoding, newline="")
        (tmp_path / "conda.yml").write_text(CONDA, encoding=encoding)
        assert pip_lines(Environment.from_pip_requirements("e", tmp_path / "r.txt")) == ["numpy", "torch"]
        assert pip_lines(Environment.from_conda_specification("e", tmp_path / "conda.yml")) == ["torch"]
        (tmp_path / "outer.txt").write_text("-r r.txt\n")
        given = {"python": {"condaDependencies": {"dependencies": [{"pip": [f"-r {tmp_path / 'outer.txt'}"]}]}}}
        assert requirements.pip_lines(given) == ["numpy", "torch"]

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
    @pytest.mark.parametrize("make", [Environment.from_pip_requirements, Environment.from_conda_specification])
    def test_what_is_no_text(self, tmp_path: Path, encoding: str, make: Callable[[str, Path], object]) -> None:
        file = tmp_path / "file"
        file.write_bytes("# größer\nnumpy\n".encode(encoding))
        with pytest.raises(UserErrorException, match=f"{file} is not text in UTF-8: .*Save it as UTF-8"):
            make("e", file)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match=f"{tmp_path} cannot be read: Is a directory. Give the path of a file"):
            Environment.from_pip_requirements("e", tmp_path)


class TestFilesThatNameFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder with files, which is not the current one; that has files of the same names."""
        folder, elsewhere = tmp_path / "env", tmp_path / "elsewhere"
        for each, word in ((folder, "right"), (elsewhere, "wrong")):
            each.mkdir()
            for name in ("c.txt", "d.txt", "more.txt"):
                (each / name).write_text(f"{word}\n")
        monkeypatch.chdir(elsewhere)
        return folder

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("-c c.txt", "-c {}/c.txt"),
            ("-cc.txt", "-c {}/c.txt"),
            ("--constraint=c.txt", "--constraint {}/c.txt"),
            ("--constraint  ./c.txt", "--constraint {}/c.txt"),
            ("-r more.txt", "right"),
            ("-rmore.txt", "right"),
            ("--requirement=more.txt", "right"),
            ("--requirement more.txt", "right"),
        ],
    )
    def test_they_lie_beside_it(self, folder: Path, line: str, expected: str) -> None:
        (folder / "requirements.txt").write_text(f"{line}\n")
        (folder / "outer.txt").write_text("-r requirements.txt\n")
        (folder / "conda.yml").write_text(f"dependencies: [python=3.11, pip: ['{line}']]\n")
        wanted = [expected.format(folder)]
        environments = [
            Environment.from_pip_requirements("e", "../env/requirements.txt"),
            Environment.from_pip_requirements("e", folder / "outer.txt"),
            Environment.from_conda_specification("e", "../env/conda.yml"),
        ]
        for environment in environments:
            assert requirements.pip_lines(requirements.localized(environment._serialize_to_dict(), "/")) == wanted
        given: dict[str, Any] = {"python": {"condaDependencies": {"dependencies": [{"pip": [f"-r {folder}/outer.txt"]}]}}}
        assert requirements.pip_lines(requirements.localized(given, "/")) == wanted

    def test_what_is_not_beside_it_stays(self, folder: Path) -> None:
        (folder / "conda.yml").write_text("dependencies: [pip: ['-c only-in-the-code.txt', '-r https://host/r.txt']]\n")
        assert list(CondaDependencies(folder / "conda.yml").pip_options) == ["-c only-in-the-code.txt", "-r https://host/r.txt"]

    def test_a_file_named_twice_is_no_circle(self, folder: Path) -> None:
        (folder / "requirements.txt").write_text("-r more.txt\n-r more.txt\n")
        assert pip_lines(Environment.from_pip_requirements("e", folder / "requirements.txt")) == ["right", "right"]

    def test_a_circle(self, folder: Path) -> None:
        (folder / "a.txt").write_text("-r b.txt\n")
        (folder / "b.txt").write_text("six\n-r ./a.txt\n")
        circle = f"includes itself by -r: {folder}/a.txt -> {folder}/b.txt -> {folder}/a.txt. Remove"
        with pytest.raises(UserErrorException, match=circle):
            Environment.from_pip_requirements("e", folder / "a.txt")
        given = {"python": {"condaDependencies": {"dependencies": [{"pip": [f"-r {folder}/a.txt"]}]}}}
        with pytest.raises(UserErrorException, match=circle):
            requirements.localized(given, "/")

    def test_a_file_that_is_not_there(self, folder: Path) -> None:
        (folder / "a.txt").write_text("-r nobody.txt\n")
        given = {"python": {"condaDependencies": {"dependencies": [{"pip": [f"-r {folder}/a.txt"]}]}}}
        with pytest.raises(UserErrorException, match=f"{folder}/a.txt includes {folder}/nobody.txt, which is not there. Give"):
            requirements.localized(given, "/")
        with pytest.raises(FileNotFoundError, match=r"nobody\.txt"):
            Environment.from_pip_requirements("e", folder / "a.txt")
