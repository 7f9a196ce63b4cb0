"""What git knows of a folder, read from its files: starting git would cost more than the rest of a submit.

So whether there are uncommitted changes is not known here.
"""

from __future__ import annotations

import os
import re


def properties(folder: str) -> dict[str, str]:
    """SDK v1's git properties of a run whose code is in ``folder``; empty outside a repository."""
    git_folder = _git_folder(os.path.abspath(folder))
    if git_folder is None:
        return {}
    common = _common_folder(git_folder)
    branch, commit = _head(git_folder, common)
    address = _origin(common)
    found = {
        "azureml.git.repository_uri": address,
        "mlflow.source.git.repoURL": address,
        "azureml.git.branch": branch,
        "mlflow.source.git.branch": branch,
        "azureml.git.commit": commit,
        "mlflow.source.git.commit": commit,
    }
    return {name: value for name, value in found.items() if value}


def _git_folder(folder: str) -> str | None:
    """The ``.git`` of the folder or the nearest one above; where it is a file (worktree, submodule), what that names."""
    while True:
        path = os.path.join(folder, ".git")
        if os.path.isdir(path):
            return path
        if os.path.isfile(path):
            target = _read(path).removeprefix("gitdir:").strip()
            return os.path.normpath(os.path.join(folder, target)) if target else None
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _common_folder(git_folder: str) -> str:
    """Worktrees share branches and configuration with the main one."""
    shared = _read(os.path.join(git_folder, "commondir")).strip()
    return os.path.normpath(os.path.join(git_folder, shared)) if shared else git_folder


def _head(git_folder: str, common: str) -> tuple[str, str]:
    head = _read(os.path.join(git_folder, "HEAD")).strip()
    if not head.startswith("ref:"):
        return "", _commit(head)
    reference = head[4:].strip()
    if not reference.startswith("refs/heads/") or ".." in reference:
        return "", ""
    direct = _read(os.path.join(common, reference)).strip()
    return reference.removeprefix("refs/heads/"), _commit(direct or _packed(common, reference))


def _packed(common: str, reference: str) -> str:
    for line in _read(os.path.join(common, "packed-refs")).splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return ""


def _commit(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else ""


def _origin(common: str) -> str:
    """Address of the remote ``origin``, without the user name and password or token that may be in it."""
    section = ""
    for line in _read(os.path.join(common, "config")).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == '[remote "origin"]' and line.partition("=")[0].strip() == "url":
            return re.sub(r"^([\w+.-]+://)[^/]*@", r"\1", line.partition("=")[2].strip().strip('"'))
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""
