"""Patterns and places: what is meant by a path, and that nothing outside of the folder is."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflows.data import globs
from mlflows.data.local_store import LocalStore
from mlflows.data.store import Item, matching
from mlflows.exceptions import ServiceException, UserErrorException

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
    return [item.path for item in matching(LocalStore(str(root)), path)]


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
    assert LocalStore(str(tree)).item("link") is LocalStore(str(tree)).item("folder/key") is None
    for path in ("link", "folder/key"):
        with pytest.raises(ServiceException, match="was changed or removed"):
            LocalStore(str(tree)).fetch(Item(path, 6, ""), str(tmp_path / "to"), lambda size: None)
    assert not (tmp_path / "to").exists()


def test_a_folder_that_cannot_be_listed_is_no_empty_one(tree: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tree / "sub").chmod(0)
    try:
        with pytest.raises(UserErrorException, match="sub cannot be listed: Permission denied"):
            listed(tree, "")
    finally:
        (tree / "sub").chmod(0o755)


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
