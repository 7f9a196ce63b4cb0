"""The patterns are judged by pathspec, which SDK v1 itself uses."""

import pathlib

import pathspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflows.data.ignore import DefaultRules, PatternRules, rules_of


def excluded(rules, path):
    state = 0
    parts = path.split("/")
    for depth, name in enumerate(parts, 1):
        state = rules.state(state, "/".join(parts[:depth]), name, depth < len(parts))
        if rules.prunes and state in rules.excluding:
            return True
    return state in rules.excluding


def by_pathspec(lines, path):
    return pathspec.PathSpec.from_lines("gitwildmatch", lines).match_file(path)


PATHS = ["a", "b.py", "a/b.py", "a/c/b.py", "x/a/b", "foo/bar", "foo/bar/baz.log", "x/foo/bar", "a b", "é/ü.txt", "!x", "#x", ".hidden/y"]


@pytest.mark.parametrize(
    "lines",
    [
        ["a"], ["a/"], ["/a"], ["foo/bar"], ["foo/*"], ["foo/**"], ["**/foo"], ["a/**/b"], ["a/**/b.py"], ["*"], ["**"], ["/"], ["a**b"],
        ["[!a].py"], ["[^a].py"], ["[a-b].py"], [r"\!x"], [r"\#x"], ["#x"], ["foo/**/"], ["**/"], ["/**"], ["a\\ b"], ["a "], ["***"],
        ["[a"], ["*/"], ["*.py", "!b.py"], ["a/", "!a/b.py"], ["!a", "a"], ["*.log", "!baz.log", "foo/"], ["a//b"], ["?"], ["*.PY"],
        ["[[]"], ["[]a]"], ["[a]]"], ["é/"], ["ü.txt"], ["*.t?t"], ["**/b.py"], ["**/foo/**/baz.log"], [".*"], [".hidden"], ["//"],
        ["  a"], ["a\r"], ["", " ", "a"], ["/*", "!/foo"], ["foo/**/*"],
    ],
)  # fmt: skip
def test_patterns_as_pathspec(lines):
    rules = PatternRules(lines)
    assert [p for p in PATHS if excluded(rules, p)] == [p for p in PATHS if by_pathspec(lines, p)]


SEGMENT = st.text(st.sampled_from("ab*?.["), min_size=1, max_size=4).filter(lambda s: "[" not in s or s.endswith("]")) | st.sampled_from(
    ["a", "b", "**", "*", "a*", "[ab]", "[!a]", "?b"]
)
PATTERN = st.builds(
    lambda bang, root, parts, end: bang + root + "/".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
PATH = st.lists(st.sampled_from(["a", "b", "ab", "a.b", "ba"]), min_size=1, max_size=4).map("/".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=4), st.lists(PATH, min_size=1, max_size=8))
def test_any_patterns_as_pathspec(lines, paths):
    rules = PatternRules(lines)
    assert [excluded(rules, p) for p in paths] == [by_pathspec(lines, p) for p in paths]


@pytest.mark.parametrize("line", ["a\\", "[z-a]", "[", "a[/]b"])
def test_an_invalid_pattern_matches_nothing(line):
    assert not any(excluded(PatternRules([line]), path) for path in PATHS)


class TestDefaults:
    def test_leaves_out_what_is_not_code(self, tmp_path):
        rules = rules_of(str(tmp_path))
        assert isinstance(rules, DefaultRules) and rules.reports and rules.detects_environments
        for path in ("__pycache__/x.pyc", "pkg/__pycache__/x.pyc", "node_modules/a", "outputs/m", "logs/l", "mlruns/1", "pkg/old.pyc"):
            assert excluded(rules, path), path

    def test_keeps_code(self, tmp_path):
        rules = rules_of(str(tmp_path))
        for path in ("train.py", "pkg/logs/reader.py", "pkg/outputs/x.py", ".azureml/config.json", "data/x.csv", ".gitattributes"):
            assert not excluded(rules, path), path

    def test_a_package_named_logs_is_kept(self, tmp_path):
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "__init__.py").touch()
        assert not excluded(rules_of(str(tmp_path)), "logs/reader.py")


class TestChoice:
    def test_amlignore_counts_alone(self, tmp_path):
        (tmp_path / ".amlignore").write_text("*.csv\n")
        (tmp_path / ".gitignore").write_text("*.py\n")
        rules = rules_of(str(tmp_path))
        assert excluded(rules, "a.csv") and not excluded(rules, "a.py") and not rules.reports

    def test_gitignore_is_second(self, tmp_path):
        (tmp_path / ".gitignore").write_text("﻿*.py\r\n", encoding="utf-8")
        rules = rules_of(str(tmp_path))
        assert excluded(rules, "a.py") and not excluded(rules, "outputs/x")

    def test_an_ignore_file_below_the_root_does_not_count(self, tmp_path: pathlib.Path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / ".gitignore").write_text("*\n")
        assert not excluded(rules_of(str(tmp_path)), "sub/a.py")
