"""Conda environments that are really solved and linked, from a channel made on the spot."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows.environments import builds, conda_prefix
from mlflows.environments.builds import EnvironmentBuildError
from mlflows.environments.digest import digest
from tests.support.conda_channel import Channel
from tests.support.wheels import make_wheel
from tests.unit.environments.conftest import PYTHON, Environment, definition_of

pytest.importorskip("rattler", reason="needs py-rattler")

Build = Callable[..., Environment]


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Channel:
    """python, a pure package in two versions, and a program for it; the second version cannot be had with the program there is."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))
    made = Channel(tmp_path / "channel")
    made.add_python()
    made.add("greeting", "1.0", {"site-packages/greeting.py": "WORD = 'hello'\n"}, "python", noarch_python=True)
    made.add("greeting", "2.0", {"site-packages/greeting.py": "WORD = 'bye'\n"}, "python", "tool >=2", noarch_python=True)
    made.add("tool", "1.5", {"bin/tool": "#!/bin/sh\necho tool 1.5\n", "share/tool/data.txt": "data\n"})
    return made


def test_conda_and_pip_packages_in_one_prefix(build: Build, channel: Channel, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "from-pip")
    made = build(str(wheel), "azureml-core", conda=["greeting=1", "tool"], channels=[channel.url])
    assert made.built.interpreter.parts[-3:] == ("prefix", "bin", "python")
    assert made.run("import greeting, from_pip, sys; print(greeting.WORD, from_pip.VERSION, sys.prefix)").startswith("hello 1.0 /")
    assert made.run("import sys; print(sys.prefix)") == str(made.built.interpreter.parents[1])
    assert made.run("import pip; print(pip.__file__)").startswith(str(made.built.interpreter.parents[1]))
    tool = made.built.interpreter.parent / "tool"
    assert stat.S_IMODE(tool.stat().st_mode) & 0o111
    for part in ("Solving python=", " + greeting 1.0 0", " + from-pip==1.0", "azureml-core is not installed"):
        assert part in made.output
    assert build(str(wheel), "azureml-core", conda=["greeting=1", "tool"], channels=[channel.url]).output == ""
    job = tmp_path / "job"
    (job / "lib").mkdir(parents=True)
    assert str(job / "lib") in made.run("import sys; print(sys.path)", "-I", MLFLOWS_JOB_FOLDER=str(job))


def test_the_newest_that_fits_is_taken(build: Build, channel: Channel) -> None:
    assert build(conda=["greeting"], channels=[channel.url]).run("import greeting; print(greeting.WORD)") == "hello"
    channel.add("tool", "2.1", {"bin/tool": "#!/bin/sh\necho tool 2.1\n"})
    assert build(conda=["greeting>=1"], channels=[channel.url]).run("import greeting; print(greeting.WORD)") == "bye"


def test_the_first_channel_is_the_strongest(build: Build, channel: Channel, tmp_path: Path) -> None:
    other = Channel(tmp_path / "other")
    other.add("greeting", "0.5", {"site-packages/greeting.py": "WORD = 'from the other'\n"}, "python", noarch_python=True)
    made = build(conda=["greeting"], channels=[other.url, channel.url])
    assert made.run("import greeting; print(greeting.WORD)") == "from the other"


@pytest.mark.parametrize(
    ("packages", "parts"),
    [
        (["greeting=2"], ["greeting 2.0 would require", "tool >=2, for which no candidates were found"]),
        (["nowhere-to-be-found"], ["No candidates were found for nowhere-to-be-found"]),
        (["greeting=2", "tool<2"], ["greeting 2.0 would require"]),
        (["greeting>>1"], ["greeting"]),
    ],
)
def test_what_cannot_be_solved(build: Build, channel: Channel, packages: list[str], parts: list[str]) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        build(conda=packages, channels=[channel.url])
    message = caught.value.message
    assert message.startswith("the conda packages cannot be installed: ") and "Change environment.python.conda_dependencies." in message
    for part in parts:
        assert part in message
    folder = builds.folder_of(digest(definition_of(conda=packages, channels=[channel.url]), "venv"))
    assert sorted(path.name for path in folder.iterdir()) == ["build.log", "definition.json", "failed.json"]


def test_a_channel_that_is_not_there(build: Build, channel: Channel) -> None:
    with pytest.raises(EnvironmentBuildError, match="file:///no/channel.*No such file or directory"):
        build(conda=["greeting"], channels=["file:///no/channel"])


def test_a_channel_without_python(build: Build, channel: Channel, tmp_path: Path) -> None:
    empty = Channel(tmp_path / "empty")
    empty.add("tool", "1.0", {"bin/tool": "#!/bin/sh\n"})
    with pytest.raises(EnvironmentBuildError, match="No candidates were found for python"):
        build(conda=["tool"], channels=[empty.url])


def test_pip_packages_that_cannot_be_had(build: Build, channel: Channel) -> None:
    with pytest.raises(EnvironmentBuildError, match="the requirement surely-not-there cannot be installed"):
        build("--no-index", "surely-not-there", conda=["greeting=1"], channels=[channel.url])


def test_without_the_extra(build: Build, channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(EnvironmentBuildError) as caught:
        build("six", conda=["greeting=1", "pip"], channels=[channel.url])
    for part in ("conda_dependencies: the conda packages greeting=1 need a solver", "pip install 'mlflows[conda]'", "as pip packages"):
        assert part in caught.value.message


def test_a_secret_in_a_channel(build: Build, channel: Channel, store: Path, tmp_path: Path) -> None:
    """Of an address with a secret in its path, as Anaconda's servers take one, nothing is left in the environment."""
    secret = "canary-5b1e"
    (tmp_path / "t" / secret).mkdir(parents=True)
    (tmp_path / "t" / secret / "channel").symlink_to(channel.folder)
    address = (tmp_path / "t").as_uri() + "/{{prefect.blocks.secret.token}}/channel"
    made = build(conda=["greeting=1"], channels=[address], resolve=lambda name: secret)
    assert made.run("import greeting; print(greeting.WORD)") == "hello"
    assert secret not in made.output
    assert not [path for path in store.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


class TestChannels:
    @pytest.fixture(autouse=True)
    def nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CONDA_CHANNEL_ALIAS", "CONDA_CHANNELS", "CONDA_DEFAULT_CHANNELS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CONDARC", str(tmp_path / "condarc"))

    def channels(self, *given: str) -> list[str]:
        return conda_prefix.channels_of(definition_of(conda=["a"], channels=given))

    def test_as_given(self) -> None:
        assert self.channels("conda-forge", "file:///a", "nodefaults", "conda-forge") == ["conda-forge", "file:///a"]
        assert self.channels() == ["conda-forge"]
        assert self.channels("defaults") == ["https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r"]
        assert conda_prefix.channel_alias() == "https://conda.anaconda.org/"

    def test_as_conda_is_configured(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "condarc").write_text("channel_alias: https://mirror\ndefault_channels: [https://mirror/main]\nchannels: [ours]\n")
        assert (self.channels("defaults"), self.channels()) == (["https://mirror/main"], ["ours"])
        assert conda_prefix.channel_alias() == "https://mirror"
        monkeypatch.setenv("CONDA_CHANNEL_ALIAS", "https://stronger")
        assert conda_prefix.channel_alias() == "https://stronger"

    def test_as_conda_is_configured_where_one_submits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "condarc").write_text("channel_alias: https://of-the-runner\nchannels: [of-the-runner]\n")
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / ".condarc").write_text("channel_alias: https://mirror\nchannels: [ours]\n")
        definition = definition_of(conda=["a"])
        for environment in ({"HOME": str(tmp_path / "theirs")}, {"CONDARC": str(tmp_path / "theirs" / ".condarc")}):
            assert conda_prefix.channels_of(definition, environment) == ["ours"]
            assert conda_prefix.channel_alias(environment) == "https://mirror"
        assert conda_prefix.channels_of(definition, {"CONDARC": "", "CONDA_CHANNELS": "a,b"}) == ["a", "b"]

    def test_a_build_looks_where_one_submits(self, store: Path, channel: Channel, tmp_path: Path) -> None:
        (tmp_path / "condarc").write_text("channels: [file:///of-the-runner]\n")
        (tmp_path / "theirs").write_text(f"channels: ['{channel.folder.as_uri()}']\n")
        environment = {**os.environ, "CONDARC": str(tmp_path / "theirs")}
        made = Environment(builds.ensure(definition_of(conda=["greeting=1"]), environment=environment), "")
        assert made.run("import greeting; print(greeting.WORD)") == "hello"


def test_python_is_asked_for_where_nobody_does() -> None:
    assert conda_prefix.specs_of(definition_of(conda=["a"])) == [f"python={PYTHON}", "a"]
    assert conda_prefix.specs_of({"python": {"condaDependencies": {"dependencies": ["a"]}}}) == ["python", "a"]
