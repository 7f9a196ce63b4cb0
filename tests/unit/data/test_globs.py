"""Patterns and places: what is meant by a path, and that nothing outside of the folder is."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflows.data import globs, places
from mlflows.data.places import Entry, FolderPlace
from mlflows.exceptions import UserErrorException

NAME = st.text(st.sampled_from("ab.*?[]!-^ é\\"), min_size=1, max_size=5).filter(lambda name: name not in (".", "..", "**"))
PLAIN = st.text(st.sampled_from("ab. é\\"), min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("a.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv", "su/e.csv", "with space/é.csv", "[x]/f.csv", ".mlflows/own"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def listed(root: Path, path: str) -> list[str]:
    return [entry.path for entry in FolderPlace(root, "here").list(path)]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", ["[x]/f.csv", "a.csv", "b.txt", "su/e.csv", "sub/c.csv", "sub/deep/d.csv", "with space/é.csv"]),
        ("**", ["[x]/f.csv", "a.csv", "b.txt", "su/e.csv", "sub/c.csv", "sub/deep/d.csv", "with space/é.csv"]),
        ("a.csv", ["a.csv"]),
        ("/sub/", ["sub/c.csv", "sub/deep/d.csv"]),
        ("./sub", ["sub/c.csv", "sub/deep/d.csv"]),
        ("sub/*", ["sub/c.csv"]),
        ("sub/**", ["sub/c.csv", "sub/deep/d.csv"]),
        ("*.csv", ["a.csv"]),
        ("**/*.csv", ["[x]/f.csv", "a.csv", "su/e.csv", "sub/c.csv", "sub/deep/d.csv", "with space/é.csv"]),
        ("su*/*.csv", ["su/e.csv", "sub/c.csv"]),
        ("su?/*.csv", ["sub/c.csv"]),
        ("[ab].*", ["a.csv", "b.txt"]),
        ("[!a].*", ["b.txt"]),
        ("[x]/f.csv", ["[x]/f.csv"]),
        ("**/deep/**", ["sub/deep/d.csv"]),
        ("missing", []),
        ("missing/**", []),
        ("a.csv/x", []),
    ],
)
def test_listing(tree: Path, path: str, found: list[str]) -> None:
    assert listed(tree, path) == found


@pytest.mark.parametrize("path", ["..", "../root", "sub/../../x", "/../etc/passwd", "**/../x", "a\0b"])
def test_paths_that_lead_out(tree: Path, path: str) -> None:
    with pytest.raises(UserErrorException, match="leads out of its place|null character"):
        listed(tree, path)


def test_links_that_lead_out_are_no_files(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (tree / "link").symlink_to(tmp_path / "secret" / "key")
    (tree / "folder").symlink_to(tmp_path / "secret")
    (tree / "inside").symlink_to(tree / "a.csv")
    (tree / "broken").symlink_to(tree / "nothing")
    os.mkfifo(tree / "pipe")
    assert set(listed(tree, "")) & {"link", "folder/key", "broken", "pipe", "inside"} == {"inside"}
    assert listed(tree, "link") == listed(tree, "folder") == listed(tree, "folder/**") == listed(tree, "folder/key") == []
    with pytest.raises(FileNotFoundError):
        FolderPlace(tree, "here").open(Entry("link", 6, None, ""))


@given(pattern=NAME, name=PLAIN)
def test_one_name_is_matched_as_shells_do(pattern: str, name: str) -> None:
    usual = pattern.replace("[^", "[!") if "[^]" not in pattern else pattern
    if "[" not in pattern:  # what Python takes for a bracket differs where they do not match
        assert globs.matches(pattern, name) == fnmatch.fnmatchcase(name, usual)
    globs.matches(pattern, name)  # never an error


@given(parts=st.lists(PLAIN, min_size=1, max_size=4), folders=st.integers(0, 3))
def test_two_stars_are_any_folders(parts: list[str], folders: int) -> None:
    path = "/".join(parts)
    assert globs.matches("**", path)
    assert globs.matches(f"**/{parts[-1]}", path) == True or globs.has_pattern(parts[-1])  # noqa: E712
    assert not globs.matches("*", path) if len(parts) > 1 else globs.matches("*", path)


@given(st.text(st.sampled_from("./a\\ *"), max_size=12))
def test_inside_never_leads_out(path: str) -> None:
    try:
        found = globs.inside("path", path)
    except UserErrorException:
        assert ".." in path
        return
    assert not found.startswith("/") and ".." not in found.split("/")
    assert os.path.normpath(os.path.join("/root", found)).startswith("/root")


class Anything:
    """A place whose names are whatever a server says."""

    name = "server"

    def list(self, path: str) -> list[Entry]:
        return []

    def open(self, entry: Entry) -> object:
        import io

        return io.BytesIO(b"content")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.text(st.sampled_from("./a%2e\\~ é"), min_size=1, max_size=10))
def test_fetch_stays_in_the_folder(tmp_path: Path, name: str) -> None:
    import shutil
    import tempfile

    outer = Path(tempfile.mkdtemp(dir=tmp_path))
    (outer / "folder").mkdir()
    try:
        path = places.fetch(Anything(), Entry(name, 7, None, ""), str(outer / "folder"), name)  # type: ignore[arg-type]
    except (UserErrorException, IsADirectoryError, NotADirectoryError):
        assert [each for each in outer.rglob("*") if each.is_file()] == []
    else:
        assert Path(path).resolve().is_relative_to(outer / "folder") and Path(path).read_bytes() == b"content"
    assert os.listdir(outer) == ["folder"]
    shutil.rmtree(outer)


class TestFetch:
    def test_not_through_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "sub").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UserErrorException, match="through a link out of"):
            places.fetch(Anything(), Entry("x", 7, None, ""), str(tmp_path / "folder"), "sub/x")  # type: ignore[arg-type]
        assert os.listdir(tmp_path / "elsewhere") == []

    def test_another_size_than_listed_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(UserErrorException, match="7 bytes were read, 9 listed"):
            places.fetch(Anything(), Entry("x", 9, None, ""), str(tmp_path), "x")  # type: ignore[arg-type]
        assert os.listdir(tmp_path) == []
