"""What a machine has set for pip holds for uv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflows.environments import pip_settings
from mlflows.environments.work import EnvironmentBuildError
from tests.support.wheels import index, make_wheel
from tests.unit.environments.conftest import Environment

CANARY = "canary-51b0-token"
PRINTS_ITS_VARIABLES = """\
import os
def build_wheel(directory, config_settings=None, metadata_directory=None):
    print([value for name, value in os.environ.items() if name in ("PIP_EXTRA_INDEX_URL", "UV_INDEX")])
    raise SystemExit("not to be built")
"""


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment whose home has no settings; this machine's own are out of sight."""
    monkeypatch.setattr(pip_settings.sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr(pip_settings, "MACHINE_FILE", tmp_path / "etc" / "pip.conf")
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg")}


def test_nothing_set(nowhere: dict[str, str]) -> None:
    assert pip_settings.variables(nowhere) == {"UV_INDEX_STRATEGY": "unsafe-best-match"}


def test_variables(nowhere: dict[str, str], tmp_path: Path) -> None:
    given = {
        "PIP_INDEX_URL": "https://a/simple",
        "PIP_EXTRA_INDEX_URL": "https://b https://c",
        "PIP_FIND_LINKS": f"{tmp_path} /not/there https://w",
        "PIP_TRUSTED_HOST": "a",
        "PIP_NO_INDEX": "false",
        "PIP_CERT": "/ca.pem",
    }
    assert pip_settings.variables({**nowhere, **given}) == {
        "UV_DEFAULT_INDEX": "https://a/simple",
        "UV_INDEX": "https://b https://c",
        "UV_FIND_LINKS": f"{tmp_path},https://w",
        "UV_INSECURE_HOST": "a",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_is_set_for_uv_is_stronger(nowhere: dict[str, str], name: str) -> None:
    found = pip_settings.variables({**nowhere, "PIP_INDEX_URL": "https://a", name: "https://b", "UV_INDEX_STRATEGY": "first-index"})
    assert found == {}


def test_files_the_strongest_last(nowhere: dict[str, str], tmp_path: Path) -> None:
    for name, text in {
        "etc/pip.conf": "[global]\nindex-url = https://machine\ntrusted-host = machine\n",
        ".config/pip/pip.conf": "[global]\nindex-url = https://person\n[install]\nextra-index-url =\n    https://x\n    https://y\n",
        "broken.conf": "no section\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = pip_settings.variables({**nowhere, "PIP_CONFIG_FILE": str(tmp_path / "broken.conf")})
    assert (found["UV_DEFAULT_INDEX"], found["UV_INDEX"], found["UV_INSECURE_HOST"]) == ("https://person", "https://x https://y", "machine")
    assert "UV_DEFAULT_INDEX" not in pip_settings.variables({**nowhere, "PIP_CONFIG_FILE": "/dev/null"})


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("https://host/simple", []),
        ("https://person:pass@host/simple", ["pass"]),
        ("https://person@corp.example:p%40ss@host/simple", ["p@ss"]),
        ("mine=https://person:pass@host/simple?channel=a=b https://x:other@y", ["pass", "other"]),
        ("https://host/simple?x=1", []),
        ("https://person:pass@host/simple?format=json&kind=a", ["pass"]),
        ("https://host/wheels?sv=1&sig=abc%2B", ["abc+"]),
        (f"https://{CANARY}@host/simple", [CANARY]),
        (f"mine=https://{CANARY}:@host/simple?a=b", [CANARY]),
        ("https://aws@host/simple", []),
        ("ssh://git-the-user@host/x", []),
        ("/a,https://person:pass@host/x,https://person:word@host/y", ["pass", "word"]),
        ("https://[host", []),
    ],
)
def test_secrets(value: str, secrets: list[str]) -> None:
    assert list(pip_settings.secrets_in(value)) == secrets


@pytest.mark.parametrize("name", ["PIP_EXTRA_INDEX_URL", "UV_INDEX"])
def test_token_in_the_place_of_a_user_name(
    build: Callable[..., Environment], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_wheel(tmp_path / "wheels", "mlflows-bytoken")
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "curious"\nversion = "1"\n'
    )
    (project / "backend.py").write_text(PRINTS_ITS_VARIABLES)
    with index(tmp_path / "wheels", "", user=CANARY) as served:
        monkeypatch.setenv(name, f"http://{CANARY}@{served.address}/simple?kind=a")
        made = build("mlflows-bytoken")
        assert "/mlflows_bytoken-1.0-py3-none-any.whl" in served.asked
        with pytest.raises(EnvironmentBuildError, match="curious") as caught:
            build(str(project))
    assert made.run("import mlflows_bytoken as made; print(made.VERSION)") == "1.0"
    assert f"http://****@{served.address}" in caught.value.message
    assert not [path for path in store.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert CANARY not in caught.value.message and CANARY not in made.output
