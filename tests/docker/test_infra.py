"""What infra/dev brings up: it holds what the other tests need, and bringing it up again changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT
from tests.support.engine import CREDENTIALS, DISPOSABLE, Engine, Registry

STATE = CREDENTIALS.parent
IMAGE = "mlflows-tests/infra"


def test_base_image_has_what_an_environment_is_built_with(docker_engine: Engine, base_image: str) -> None:
    command = "python3 -c 'import ensurepip, venv' && python3 -m pip --version"
    assert "(python 3.11)" in docker_engine.docker("run", "--rm", base_image, "sh", "-c", command)


def test_a_build_reaches_the_package_index(docker_engine: Engine, base_image: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nRUN python3 -m pip install --no-cache-dir --target /packages six==1.16.0\n")
    built = docker_engine.docker("build", "--quiet", "--force-rm", str(tmp_path)).split()[-1]
    assert "1.16.0" in docker_engine.docker("run", "--rm", built, "sh", "-c", "ls /packages")
    docker_engine.docker("rmi", built)


@pytest.fixture
def small_image(docker_engine: Engine, tmp_path: Path) -> Iterator[str]:
    """An image with one file in it, which no other test has."""
    name = f"{IMAGE}:{uuid.uuid4().hex[:8]}"
    (tmp_path / "file").write_text(name)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    docker_engine.docker("build", "--quiet", "--tag", name, str(tmp_path))
    yield name
    docker_engine.docker("rmi", name)


def test_push_and_pull(docker_engine: Engine, small_image: str, image_registry: Registry) -> None:
    image = f"{image_registry.address}/{small_image}"
    docker_engine.docker("tag", small_image, image)
    docker_engine.docker("push", image)
    docker_engine.docker("rmi", image)
    docker_engine.docker("pull", image)
    docker_engine.docker("rmi", image)


def test_private_registry_takes_its_own_password_only(
    docker_engine: Engine, small_image: str, private_image_registry: Registry, tmp_path: Path
) -> None:
    address, password = private_image_registry.address, private_image_registry.password
    image = f"{address}/{small_image}"
    config = {"DOCKER_CONFIG": str(tmp_path / "config")}
    login = ["login", "--username", str(private_image_registry.username), "--password-stdin", address]
    docker_engine.docker("tag", small_image, image)
    with pytest.raises(AssertionError, match="no basic auth credentials|authentication required|unauthorized"):
        docker_engine.docker("push", image, environment=config)
    with pytest.raises(AssertionError, match="401|[Uu]nauthorized"):
        docker_engine.docker(*login, stdin="wrong", environment=config)
    docker_engine.docker(*login, stdin=str(password), environment=config)
    docker_engine.docker("push", image, environment=config)
    docker_engine.docker("rmi", image)
    assert private_image_registry.status(f"{IMAGE}/manifests/{image.rpartition(':')[2]}") == 200
    assert Registry(address, private_image_registry.username, "wrong").status() == 401


@pytest.mark.skipif(not DISPOSABLE, reason="the machine is not ours to set up")
def test_bringing_up_again_leaves_alone_what_is_there(
    docker_engine: Engine, base_image: str, image_registry: Registry, private_image_registry: Registry
) -> None:
    before = snapshot(docker_engine, base_image)
    for piece in ("docker_engine.sh", "base_image.sh", "registry.sh"):
        done = subprocess.run(["sh", str(ROOT / "infra/dev" / piece)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert snapshot(docker_engine, base_image) == before
    assert CREDENTIALS.stat().st_mode & 0o777 == 0o600


OWN_MACHINE = """
export LC_ALL=C
for folder in /run /var/lib/docker /var/lib/mlflows-dev; do mount -t tmpfs tmpfs $folder; done
ip link set lo up
cd infra/dev
(sh docker_engine.sh & sh docker_engine.sh; wait)
sh registry.sh
echo up: $(ls /var/lib/mlflows-dev/*.pid), $(docker info --format '{{.Containers}}') containers
cp /var/lib/mlflows-dev/registry-private.credentials /run/before
sh down.sh
! docker info >/dev/null 2>&1
echo left: $(ls /proc/*/exe -l 2>/dev/null | grep -cE 'docker|containerd') processes
sh docker_engine.sh
sh registry.sh
cmp /run/before /var/lib/mlflows-dev/registry-private.credentials
sh down.sh
sh down.sh
"""
"""In namespaces where there is no engine and no registry yet; all processes end with the first."""


@pytest.mark.skipif(not DISPOSABLE, reason="the machine is not ours to set up")
def test_up_and_down_on_a_machine_without_an_engine(image_registry: Registry) -> None:
    for command in ("unshare", "ip"):
        if not shutil.which(command):
            pytest.skip(f"needs {command}")
    argv = ["unshare", "--mount", "--pid", "--net", "--mount-proc", "--fork", "sh", "-euc", OWN_MACHINE]
    done = subprocess.run(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    pids = " ".join(f"{STATE}/{name}.pid" for name in ("dockerd", "registry-private", "registry"))
    lines = done.stdout.splitlines()
    started = [line for line in lines if line.startswith("docker_engine.sh: Docker")]
    stopped = [f"down.sh: {name} stopped" for name in ("registry", "registry-private", "dockerd")]
    assert len(started) == 2, done.stdout
    assert f"up: {pids}, 0 containers" in lines
    assert "left: 0 processes" in lines
    assert [line for line in lines if line.startswith("down.sh")] == stopped * 2
    assert image_registry.status() == 200


def snapshot(engine: Engine, image: str) -> list[str]:
    """What a second start could have changed: the image, the processes, the password."""
    files = [path.read_text() for path in sorted([*STATE.glob("dockerd.pid"), *STATE.glob("registry*.pid"), CREDENTIALS])]
    return [engine.docker("image", "inspect", "--format", "{{.Id}}", image), engine.docker("info", "--format", "{{.ID}}"), *files]


def test_what_a_test_leaves_is_noticed(docker_engine: Engine, base_image: str) -> None:
    before = docker_engine.present()
    name = f"mlflows-left-{uuid.uuid4().hex[:8]}"
    docker_engine.docker("create", "--name", name, "--label", "mlflows.test=left", base_image, "true")
    try:
        assert [name in line for line in docker_engine.present() - before] == [True]
    finally:
        docker_engine.docker("rm", name)
    assert docker_engine.left_over(before) == []
