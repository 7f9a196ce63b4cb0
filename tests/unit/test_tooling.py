"""The scripts behind make, and the rule about tests that a machine cannot hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*ROOT.glob("scripts/*.sh"), *ROOT.glob("infra/**/*.sh")])


def run(argv: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(argv, cwd=cwd, env={**clean, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def put(folder: Path, name: str, text: str) -> None:
    """An executable of this name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_posix_shell(script: Path, tmp_path: Path) -> None:
    assert run(["sh", "-n", str(script)], tmp_path).returncode == 0


@pytest.mark.parametrize("home", ["", "/nonexistent"])
def test_a_user_without_a_home_gets_one(home: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "a b" / "scripts")
    done = run(["sh", "-c", '. scripts/environment.sh && echo "$HOME" && test -d "$HOME"'], tmp_path / "a b", HOME=home)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/a b/.artifacts/home\n")


def test_a_home_that_is_there_is_kept(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    assert run(["sh", "-c", '. scripts/environment.sh && echo "$HOME"'], tmp_path, HOME=str(tmp_path)).stdout == f"{tmp_path}\n"


def test_setup_says_when_no_python_is_new_enough(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    put(tmp_path / "bin", "python3", "exit 1  # an old one: its version check fails")
    for tool in ("sh", "mkdir", "rm", "dirname"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    done = run(["sh", "scripts/setup.sh"], tmp_path, PATH=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert "no Python 3.10 or newer" in done.stderr


@pytest.mark.parametrize("ci", ["", "1"])
def test_nothing_is_installed_system_wide_outside_of_ci(ci: str, tmp_path: Path) -> None:
    put(tmp_path / "bin", "apt-get", "echo called; exit 1")
    done = run(["sh", str(ROOT / "infra/dev/setup.sh")], tmp_path, PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin", CI=ci)
    assert (done.returncode, done.stdout) == (0, "")


def test_ci_runs_make_test_and_passes_its_exit_code_on(tmp_path: Path) -> None:
    clone = tmp_path / "a clone"
    shutil.copytree(ROOT / ".ci", clone / ".ci")
    put(tmp_path / "bin", "make", 'echo "make $* in $PWD"; read line && echo "stdin: $line"; exit 7')
    done = run(["bash", f"{clone}/.ci/run"], tmp_path, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (7, f"make test in {clone}\n")


@pytest.mark.parametrize(("ci", "outcome", "code"), [("", "1 passed, 3 skipped", 0), ("true", "1 failed, 2 passed, 1 skipped", 1)])
def test_what_a_machine_cannot_hold_is_listed_and_fails_in_ci(ci: str, outcome: str, code: int, tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_passes(): pass\n"
        "def test_service(): pytest.skip('needs a service')\n"
        "def test_choice(): pytest.skip('not on this system')\n"
        "@pytest.mark.slow\n"
        "def test_slow(): pass\n"
    )
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path, CI=ci)
    assert done.returncode == code, done.stdout
    assert outcome in done.stdout.splitlines()[-1]
    assert "not exercised on this machine" in done.stdout
    assert "   1  not on this system" in done.stdout
    assert ("   1  needs a service" in done.stdout) == (not ci)


def test_no_variable_of_the_person_reaches_a_test(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(
        "import os\ndef test_it():\n    assert 'PREFECT_API_URL' not in os.environ\n    assert os.environ['MLFLOWS_HOME'] != '/mine'\n"
    )
    done = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path, PREFECT_API_URL="http://x", MLFLOWS_HOME="/mine")
    assert done.returncode == 0, done.stdout
