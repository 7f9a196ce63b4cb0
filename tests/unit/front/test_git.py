"""Judged by git itself."""

import subprocess

import pytest

from mlflows.git import properties


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "train.py").write_text("x")
    git(folder, "init", "-q", "-b", "feature/one")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def commit_of(folder):
    return git(folder, "rev-parse", "HEAD")


def test_outside_a_repository(tmp_path):
    assert properties(str(tmp_path)) == {}


def test_without_a_commit_or_remote(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    assert properties(str(tmp_path)) == {"azureml.git.branch": "main", "mlflow.source.git.branch": "main"}


def test_branch_commit_and_address_from_a_folder_below(repository):
    git(repository, "remote", "add", "other", "https://example.com/other.git")
    git(repository, "remote", "add", "origin", "https://example.com/team/x.git")
    commit = commit_of(repository)
    assert properties(str(repository / "src")) == {
        "azureml.git.repository_uri": "https://example.com/team/x.git",
        "mlflow.source.git.repoURL": "https://example.com/team/x.git",
        "azureml.git.branch": "feature/one",
        "mlflow.source.git.branch": "feature/one",
        "azureml.git.commit": commit,
        "mlflow.source.git.commit": commit,
    }


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://user:hunter2@example.com/x.git", "https://example.com/x.git"),
        ("https://ghp_token@example.com/x.git", "https://example.com/x.git"),
        ("https://u:p@ss@example.com/x.git", "https://example.com/x.git"),
        ("git@example.com:team/x.git", "git@example.com:team/x.git"),
        ("ssh://git@example.com/x.git", "ssh://example.com/x.git"),
        ("/srv/a@b/x.git", "/srv/a@b/x.git"),
    ],
)
def test_no_secret_of_the_address_is_kept(repository, address, kept):
    git(repository, "remote", "add", "origin", address)
    assert properties(str(repository))["azureml.git.repository_uri"] == kept


def test_detached_head(repository):
    commit = commit_of(repository)
    git(repository, "checkout", "-q", "--detach")
    assert properties(str(repository)) == {"azureml.git.commit": commit, "mlflow.source.git.commit": commit}


def test_packed_references(repository):
    git(repository, "pack-refs", "--all")
    assert properties(str(repository))["azureml.git.commit"] == commit_of(repository)


def test_worktree(repository, tmp_path):
    git(repository, "remote", "add", "origin", "https://example.com/x.git")
    git(repository, "worktree", "add", "-q", "-b", "second", str(tmp_path / "tree"))
    found = properties(str(tmp_path / "tree"))
    assert found["azureml.git.branch"] == "second" and found["azureml.git.commit"] == commit_of(tmp_path / "tree")
    assert found["azureml.git.repository_uri"] == "https://example.com/x.git"


def test_submodule(repository, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "add", "-q", str(repository), "inner")
    assert properties(str(outer / "inner"))["azureml.git.commit"] == commit_of(repository)


@pytest.mark.parametrize("text", ["", "nonsense", "ref: ../../../etc/passwd", "ref: refs/heads/../../config", "gitdir: \0"])
def test_a_damaged_repository_says_nothing(repository, text):
    (repository / ".git" / "HEAD").write_text(text)
    assert "azureml.git.commit" not in properties(str(repository))


def test_a_damaged_pointer(tmp_path):
    (tmp_path / ".git").write_text("gitdir: /nowhere")
    assert properties(str(tmp_path)) == {}
