"""Secrets of a definition: out of it, into it, and nowhere else."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflows.environments.conda_dependencies import CondaDependencies
from mlflows.environments.credentials import masked, put_back, referred, taken_out
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException

CANARY = "cAnArY"
PIP = [
    f"--extra-index-url https://me:{CANARY}1@pip.example/simple --trusted-host pip.example",
    f"--index-url=https://__token__:{CANARY}2@pip.example:8443/simple",
    f"-f http://me:{CANARY}@{CANARY}3@files.example/",
    f"mine @ git+https://{CANARY}4@git.example/o/mine.git@v1#egg=mine",
    f"https://{CANARY}5:@files.example/a-1-py3-none-any.whl",
    f"https://a.blob.example/c/b-1-py3-none-any.whl?sv=2020&sig={CANARY}6%3D&se=1",
    f"https://s3.example/c-1.whl?X-Amz-Signature={CANARY}7&token={CANARY}8#sha256=00",
    "numpy==2",
]
CHANNELS = ["conda-forge", f"https://conda.example/t/{CANARY}9/private", f"https://me:{CANARY}10@conda.example/main"]


def definition(pip: list[str] | None = None, channels: list[str] | None = None, **more: Any) -> dict[str, Any]:
    conda = {"channels": channels or [], "dependencies": ["python=3.11", {"pip": pip or []}]}
    return {"name": "e", "python": {"condaDependencies": conda}, "docker": {"baseImageRegistry": {}}, **more}


def everything() -> dict[str, Any]:
    whole = definition(PIP, CHANNELS, environmentVariables={"API_KEY": f"{CANARY}11", "PLAIN": "1"})
    whole["docker"]["baseImageRegistry"] = {"address": "images.example", "username": "me", "password": f"{CANARY}12"}
    whole["python"]["condaDependencies"]["dependencies"].append(f"https://me:{CANARY}13@conda.example/p-1.conda")
    return whole


def lines(value: dict[str, Any]) -> list[str]:
    return value["python"]["condaDependencies"]["dependencies"][1]["pip"]  # type: ignore[no-any-return]


def test_nothing_is_left_and_everything_comes_back() -> None:
    before = everything()
    without, values = taken_out(before)
    assert CANARY not in json.dumps(without) + json.dumps(list(values))
    assert len(values) == 13 and f"{CANARY}6=" in values.values()
    back = put_back({**without, "environmentVariables": before["environmentVariables"]}, values.__getitem__)
    assert lines(back)[2] == PIP[2].replace(f"{CANARY}@", f"{CANARY}%40", 1), "what must be encoded in an address is"
    lines(back)[2] = PIP[2]
    assert back == before == everything()


def test_what_is_a_reference_stays() -> None:
    without, values = taken_out(everything())
    assert taken_out(without) == (without, {})
    assert set(referred(without)) == {name for name, value in values.items() if value != f"{CANARY}11"}


def test_an_address_stays_one_word() -> None:
    without, _ = taken_out(definition([PIP[0]]))
    option, address, *rest = lines(without)[0].split()
    assert (option, rest) == ("--extra-index-url", ["--trusted-host", "pip.example"])
    assert address.startswith("https://me:{{prefect.blocks.secret.environment-pip-example-simple-me-") and address.endswith(
        "@pip.example/simple"
    )


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy @ https://files.example/numpy.whl#sha256=0",
        "git+ssh://git@git.example/o/r.git",
        "git+https://git.example/o/r.git@main",
        "--extra-index-url https://${USER}:${TOKEN}@pip.example/simple",
        "--index-url https://me:{{prefect.blocks.secret.mine}}@pip.example/",
        "https://files.example/a.whl?version=1&sv=2",
        "./local/a-1-py3-none-any.whl",
        "-r https://",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert taken_out(definition([line])) == (definition([line]), {})


def test_names_of_blocks_come_from_the_place_alone() -> None:
    def names(password: str, user: str = "me", host: str = "pip.example") -> list[str]:
        return list(taken_out(definition([f"-i https://{user}:{password}@{host}/simple"], [f"https://{host}/t/{password}/x"]))[1])

    assert names("a") == names("b")
    assert not set(names("a")) & set(names("a", host="other.example"))
    assert names("a")[1] != names("a", user="you")[1]


def test_two_secrets_of_one_place_are_two_blocks() -> None:
    two = definition(["https://me:first@h.example/a", "https://me:second@h.example/a", "https://me:first@h.example/a"])
    without, values = taken_out(two)
    assert sorted(values.values()) == ["first", "second"]
    assert put_back(without, values.__getitem__) == two


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("--index-url https://me:p%40ss@h.example/", "p@ss"),
        ("https://h.example/a-1-py3-none-any.whl?sv=1&sig=a%2Fb%2Bc%3D&se=2", "a/b+c="),
        ("https://t%25oken@h.example/a-1-py3-none-any.whl", "t%oken"),
    ],
)
def test_what_is_encoded_in_an_address_is_kept_decoded(line: str, secret: str) -> None:
    without, values = taken_out(definition([line]))
    assert list(values.values()) == [secret]
    assert lines(put_back(without, values.__getitem__)) == [line]
    assert (
        put_back(definition(["-i {{ prefect.blocks.secret.a }}"]), lambda name: "https://a%20b")["python"]
        == (definition(["-i https://a%20b"])["python"])
    ), "a whole address is as it is"


def test_of_a_definition_with_little_in_it() -> None:
    for little in (
        {},
        {"python": None, "docker": None},
        {"python": {"condaDependencies": {"dependencies": None}}},
        {"docker": {"baseImageRegistry": None}},
    ):
        assert taken_out(little) == (little, {})


word = st.text(
    st.characters(codec="ascii", exclude_characters=" /?#@:{}$*&=\t\n\r\x0b\x0c\x1c\x1d\x1e\x1f", exclude_categories=["Cc"]), min_size=1
)


@given(user=word, password=st.text(st.characters(codec="utf-8", categories=["L", "N", "P"], exclude_characters="/?#{}"), min_size=1))
def test_any_password(user: str, password: str) -> None:
    before = definition([f"-i https://{user}:{password}@h.example/simple"])
    without, values = taken_out(before)
    if not set(password) <= {"*"}:
        assert list(values.values()) == [unquote(password)]
    (back,) = lines(put_back(without, values.__getitem__))
    found = re.fullmatch(r"-i https://[^:]*:(.*)@h\.example/simple", back)
    assert found and unquote(found.group(1)) == unquote(password)


@given(st.text())
def test_any_text(text: str) -> None:
    without, values = taken_out(definition([text]))
    put_back(without, values.__getitem__)
    masked(text)


class TestTextForms:
    @pytest.fixture
    def environment(self) -> Environment:
        environment = Environment("e")
        environment.python.conda_dependencies = CondaDependencies(
            _underlying_structure={"channels": CHANNELS, "dependencies": ["python=3.11", {"pip": PIP}]}
        )
        environment.docker.base_image_registry.address = "images.example"
        environment.docker.base_image_registry.password = f"{CANARY}12"
        environment.environment_variables = {"API_KEY": f"{CANARY}11"}
        return environment

    def test_str_and_repr(self, environment: Environment) -> None:
        texts = [str(environment), repr(environment), repr(environment.python), repr(environment.docker), str(environment.python)]
        texts.append(repr(environment.python.conda_dependencies))
        assert all(CANARY not in text for text in texts)
        assert "https://me:****@pip.example/simple" in texts[0] and "https://me:****@pip.example/simple" in texts[-1]

    def test_files_keep_what_a_person_wrote(self, environment: Environment) -> None:
        assert f"https://me:{CANARY}1@pip.example/simple" in environment.python.conda_dependencies.serialize_to_string()

    @pytest.mark.parametrize(
        "call",
        [
            lambda: CondaDependencies().add_pip_package(PIP[0]),
            lambda: CondaDependencies().remove_pip_package(PIP[0]),
            lambda: CondaDependencies().set_pip_option(PIP[4]),
            lambda: CondaDependencies().add_conda_package(PIP[1]),
            lambda: CondaDependencies().set_pip_requirements(PIP[4]),
            lambda: CondaDependencies.create(pip_packages=PIP[5]),
            lambda: CondaDependencies(_underlying_structure={"channels": CHANNELS[1]}),
        ],
    )
    def test_errors(self, call: Any) -> None:
        with pytest.raises(UserErrorException) as caught:
            call()
        assert "****" in caught.value.message and CANARY not in str(caught.value)
