"""Sections: declared attributes only, and a dictionary as written form."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest

from mlflows.config.run_configuration import RunConfiguration
from mlflows.config.sections import DockerConfiguration, HistoryConfiguration
from mlflows.environments.environment import Environment
from mlflows.exceptions import UserErrorException


@pytest.mark.parametrize(
    "section, wrong, right",
    [
        (DockerConfiguration(), "use_dokcer", "use_docker"),
        (HistoryConfiguration(), "snapshot_projct", "snapshot_project"),
        (RunConfiguration(), "node_cout", "node_count"),
        (RunConfiguration(), "enviroment", "environment"),
        (Environment("e").python, "user_managed_dependecies", "user_managed_dependencies"),
        (Environment("e").docker, "base_imag", "base_image"),
    ],
)
def test_unknown_attribute_names_the_nearest(section: object, wrong: str, right: str) -> None:
    with pytest.raises(AttributeError, match=f"{wrong}.*Did you mean '{right}'"):
        setattr(section, wrong, 1)
    with pytest.raises(AttributeError, match=f"{wrong}.*Did you mean '{right}'"):
        getattr(section, wrong)


def test_unlike_any_attribute_lists_them() -> None:
    with pytest.raises(AttributeError, match="It has: use_docker, shared_volumes"):
        DockerConfiguration().zzz = 1  # type: ignore[attr-defined]


def test_written_form_and_back() -> None:
    section = DockerConfiguration(True, False, ["--ipc=host"], "8g")
    value = section._serialize_to_dict()
    assert value == {"useDocker": True, "sharedVolumes": False, "arguments": ["--ipc=host"], "shmSize": "8g"}
    assert DockerConfiguration._deserialize(value) == section


def test_keys_in_any_case_null_keeps_the_default_unknown_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        section = DockerConfiguration._deserialize({"usedocker": True, "arguments": None, "shmSise": "1g"})
    assert (section.use_docker, section.arguments, section.shm_size) == (True, [], "2g")
    assert "unknown key 'shmSise' is left out. Did you mean 'shmSize'?" in caplog.text


def test_nested_section_must_be_a_mapping() -> None:
    with pytest.raises(UserErrorException, match="HistoryConfiguration: expected a mapping, got 3"):
        RunConfiguration._deserialize({"history": 3})


def test_equality_copy_and_pickle() -> None:
    section = RunConfiguration(script="a.py")
    for other in (copy.deepcopy(section), pickle.loads(pickle.dumps(section))):
        assert other == section
        other.history.snapshot_project = False
        assert other != section


def test_mutable_defaults_are_not_shared() -> None:
    one, two = DockerConfiguration(), DockerConfiguration()
    one.arguments.append("--ipc=host")
    assert two.arguments == DockerConfiguration().arguments == []
