"""Which files of a folder Docker would take."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflows.environments import dockerignore

FILES = [
    "Dockerfile",
    "a.txt",
    "a.log",
    "sub/b.log",
    "sub/b.txt",
    "sub/deep/c.log",
    "build/out/x.o",
    "build/keep.me",
    "docs/README.md",
    "a1",
    "ab",
]


@pytest.mark.parametrize(
    ("rules", "left_out"),
    [
        ("", []),
        ("# *.txt\n\n", []),
        ("*.log", ["a.log"]),
        ("**/*.log", ["a.log", "sub/b.log", "sub/deep/c.log"]),
        ("/sub/", ["sub/b.log", "sub/b.txt", "sub/deep/c.log"]),
        ("sub/*.log", ["sub/b.log"]),
        ("sub/**", ["sub/b.log", "sub/b.txt", "sub/deep/c.log"]),
        ("build\n!build/keep.me", ["build/out/x.o"]),
        ("*\n!a.txt", [name for name in FILES if name not in ("a.txt", "Dockerfile")]),
        ("!a.log\n*.log", ["a.log"]),
        ("a?\n", ["a1", "ab"]),
        ("a[0-9]", ["a1"]),
        ("Dockerfile", []),
        ("./a.txt", ["a.txt"]),
        ("**/deep", ["sub/deep/c.log"]),
    ],
)
def test_rules(tmp_path: Path, rules: str, left_out: list[str]) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".dockerignore").write_text(rules)
    found = set(dockerignore.files(tmp_path)) - {".dockerignore"}
    assert set(FILES) - found == set(left_out)


def test_without_rules_and_with_links(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("")
    (tmp_path / "link").symlink_to("folder")
    assert list(dockerignore.files(tmp_path)) == ["link", "folder/a"]
