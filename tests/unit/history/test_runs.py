"""Names of runs, and what of a JobSpec becomes params."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlflows.history import runs
from mlflows.history.streaming import chosen_log
from mlflows.history.tracking import MlflowRun
from mlflows.spec import JobSpec
from tests.support.history import REF


@pytest.mark.parametrize(("experiment", "start"), [("my-exp_1", "my-exp_1"), ("Näme with / signs", "N-me-with-signs"), ("///", "run")])
def test_new_ids(experiment: str, start: str) -> None:
    assert re.fullmatch(re.escape(start) + r"_\d{10}_[0-9a-f]{8}", runs.new_run_id(experiment))
    assert runs.new_run_id(experiment) != runs.new_run_id(experiment)


@pytest.mark.parametrize(
    ("arguments", "params"),
    [
        ([], {}),
        (["--lr", "0.1", "--epochs=3"], {"lr": "0.1", "epochs": "3"}),
        (["--flag", "--x", "-5", "-v", "--last"], {"flag": "True", "x": "-5", "v": "True", "last": "True"}),
        (["positional", "--a", "1", "2", "--a", "3"], {"a": "3"}),
        (["--text", "a=b c", "--empty="], {"text": "a=b c", "empty": ""}),
        (["--api-key", "hidden", "--password=hidden", "--max-tokens", "5"], {"max-tokens": "5"}),
        (["-", "--", "--3d", "x"], {}),
    ],
)
def test_params(arguments: list[str], params: dict[str, str]) -> None:
    assert runs.params_of(JobSpec("/code", script="a.py", arguments=arguments)) == params


def test_a_job_folder_remembers_its_run(tmp_path: Path) -> None:
    assert runs.remembered(tmp_path / "new") is None
    runs.remember(tmp_path / "new", REF)
    assert runs.remembered(tmp_path / "new") == REF
    (tmp_path / "new" / runs.REF_FILE).write_text('{"run_id": "half')
    assert runs.remembered(tmp_path / "new") is None
    (tmp_path / "new" / runs.REF_FILE).write_text("{}")
    assert runs.remembered(tmp_path / "new") is None


def test_filters_quote_what_they_are_given() -> None:
    assert runs.tag_filter({"a": "x"}) == "tags.`a` = 'x'"
    assert runs.tag_filter({"a": "it's", "b": None}) == "tags.`a` = \"it's\" and tags.`b` LIKE '%'"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, True),
        ({"tags": "a"}, True),
        ({"tags": "b"}, False),
        ({"tags": {"a": 1}, "properties": {"p": "q"}}, True),
        ({"properties": "a"}, False),
        ({"kind": "azureml.scriptrun", "run_status": "Running"}, True),
        ({"kind": "hyperdrive"}, False),
        ({"run_status": "Failed"}, False),
    ],
)
def test_matching(wanted: dict[str, object], found: bool) -> None:
    tags = {"a": "1", "mlflows.property.p": "q", "mlflows.type": "azureml.scriptrun"}
    run = MlflowRun("1", "1", "RUNNING", 0, None, "", "", tags, {}, {}, {})
    assert runs.matches(run, **wanted) is found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ([], None),
        (["std_log.txt"], "std_log.txt"),
        (["std_log_process_1.txt", "std_log_process_0.txt", "std_log_process_10.txt"], "std_log_process_0.txt"),
        (["std_log_process_00.txt", "std_log_process_01.txt"], "std_log_process_00.txt"),
        (["other.txt"], None),
    ],
)
def test_the_log_that_is_shown(names: list[str], chosen: str | None) -> None:
    assert chosen_log(names) == chosen
