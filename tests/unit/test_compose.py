"""infra/compose.yaml: it parses, and nothing of it can be reached from elsewhere or has a password that everybody knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

INFRA = Path(__file__).parents[2] / "infra"
TEXT = (INFRA / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)


def test_has_what_people_need() -> None:
    assert set(COMPOSE["services"]) == {"prefect", "mlflow", "postgres", "minio"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_listens_on_loopback_alone(name: str) -> None:
    service = COMPOSE["services"][name]
    assert "network_mode" not in service
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", []))


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_passwords_come_from_outside(name: str) -> None:
    for key, value in (COMPOSE["services"][name].get("environment") or {}).items():
        if re.search("PASSWORD|SECRET|KEY", key):
            assert re.fullmatch(r"\$\{\w+(:\?[^}]*)?\}", value), key


def test_every_variable_is_in_the_example_and_none_may_be_missing() -> None:
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    example = dict(line.split("=", 1) for line in (INFRA / "compose.env.example").read_text().splitlines() if line and line[0] != "#")
    assert used == set(example) == set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert not any(value for key, value in example.items() if "PASSWORD" in key)


def test_named_volumes_and_configs_are_declared() -> None:
    for service in COMPOSE["services"].values():
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
        assert {config["source"] for config in service.get("configs", [])} <= set(COMPOSE["configs"])
