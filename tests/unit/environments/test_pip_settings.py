"""What a machine has set for pip holds for uv."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflows.environments import pip_settings


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
