"""Names and values as MLflow takes them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflows.history import limits

MLFLOW_NAME = re.compile(r"^[/\w.\- :]*$")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("loss", "loss"),
        ("val loss/top-1 acc: x.y", "val loss/top-1 acc: x.y"),
        ("acc@5 (%)", "acc_5 ___"),
        ("Verlust α", "Verlust α"),
        ("/etc//passwd", "etc/passwd"),
        ("../../x", "_"),
        ("a/../../b", "_"),
        ("", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_key(name: str, key: str) -> None:
    assert limits.key_of(name) == key


@given(st.text())
def test_every_key_is_one_that_mlflow_takes(name: str) -> None:
    key = limits.key_of(name)
    assert MLFLOW_NAME.match(key)
    assert 0 < len(key) <= 250
    assert not key.startswith(("/", "..")) and "//" not in key


@given(st.text())
def test_every_artifact_name_stays_below_its_run(name: str) -> None:
    parts = limits.artifact_of(name).split("/")
    assert parts and ".." not in parts and "" not in parts


def test_long_texts_are_cut_with_an_ellipsis() -> None:
    assert limits.param_value("x" * 7000) == "x" * 5997 + "..."
    assert limits.tag_value("x" * 9000) == "x" * 7997 + "..."
    assert limits.tag_value(None) == ""
    assert limits.tag_value("a\0b\ud800") == "ab?"


@pytest.mark.parametrize(("value", "sent"), [(1, 1.0), (True, 1.0), (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_metric_value(value: float, sent: object) -> None:
    assert limits.metric_value(value) == sent


def test_a_number_beyond_floats_is_told() -> None:
    with pytest.raises(OverflowError):
        limits.metric_value(10**400)


@pytest.mark.parametrize(("value", "step"), [(3, 3), (1e300, 2**63 - 1), (-1e300, 1 - 2**63), (math.nan, 0)])
def test_steps_fit_64_bits(value: float, step: int) -> None:
    assert limits.int64(value) == step
