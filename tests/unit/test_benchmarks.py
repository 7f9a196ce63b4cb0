"""What the figures are made of: timing from outside, and a table that says whether a goal is met."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.figures import ALL, data, environments, submit
from benchmarks.figures.data import Load, Sample
from benchmarks.report import Goal, Table, render
from benchmarks.timing import Command, Timing, at_once, in_turn, time_command


def python(code: str, folder: Path, **environment: str) -> Command:
    return Command([sys.executable, "-c", code], folder, environment)


def test_time_to_the_first_line_and_to_the_end(tmp_path: Path) -> None:
    timing = time_command(python("import time; print('first line', flush=True); time.sleep(0.3)", tmp_path))
    assert 0 < timing.first_line < timing.whole - 0.25


def test_a_command_gets_its_folder_and_its_variables(tmp_path: Path) -> None:
    code = "import os, sys; print('first line'); sys.exit([os.getcwd(), os.environ['X']] != [sys.argv[1], '1'])"
    time_command(Command([sys.executable, "-c", code, str(tmp_path)], tmp_path, {"X": "1"}))


@pytest.mark.parametrize(
    ("code", "message"), [("print('first line'); raise SystemExit(3)", "exit code 3"), ("print('other')", "'first line' missing:\nother")]
)
def test_a_command_that_went_wrong_is_no_figure(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=message):
        time_command(python(code, tmp_path))


def test_many_at_once_take_as_long_as_the_slowest(tmp_path: Path) -> None:
    code = "import os, time; open(str(os.getpid()), 'w'); print('first line', flush=True); time.sleep(1)"
    assert 1 <= at_once(python(code, tmp_path), 4) < 3
    assert len(list(tmp_path.iterdir())) == 4


def test_the_first_round_does_not_count(tmp_path: Path) -> None:
    code = "open('log', 'a').write(%r); print('first line')"
    timings = in_turn({"a": python(code % "a", tmp_path), "b": python(code % "b", tmp_path)}, runs=2)
    assert (tmp_path / "log").read_text() == "ababab"
    assert [len(values) for values in timings.values()] == [2, 2]


def test_table_is_aligned_and_says_what_was_missed() -> None:
    goals = [Goal("under 1 s", "0.2 s", True), Goal("over 5", "4", False)]
    table = Table("title", ["seconds"], [("ours", ["0.2"]), ("theirs", ["10.0"])], goals)
    assert render(table).splitlines() == [
        "title",
        "          seconds",
        "  ours        0.2",
        "  theirs     10.0",
        "  goal: under 1 s: 0.2 s, met",
        "  goal: over 5: 4, NOT met",
    ]


@pytest.mark.parametrize(("mine", "met"), [(0.2, [True, True]), (0.4, [False, False]), (0.33, [True, False])])
def test_submit_is_held_against_the_fastest_peer(mine: float, met: list[bool]) -> None:
    timings = {"mlflows": [Timing(0.1, mine)] * 3, "slow": [Timing(1.0, 2.0)] * 3, "fast": [Timing(0.3, 0.6)] * 3}
    table = submit.table(timings, runs=3)
    assert [label for label, _ in table.rows] == ["mlflows", "fast", "slow"]
    assert [goal.met for goal in table.goals] == met
    assert "fast" in table.goals[1].text


@pytest.mark.parametrize(("mine", "met"), [(2.0, True), (7.0, False)])
def test_environments_are_held_against_what_is_done_by_hand(mine: float, met: bool) -> None:
    table = environments.table("venv", {"mlflows": {"cold": [mine] * 3}, environments.BY_HAND["venv"]: {"cold": [5.0, 6.0, 7.0]}}, runs=3)
    assert table.rows == [("cold", [f"{mine:.2f}", "6.00", f"{6 / mine:.2f} x"])]
    assert [goal.met for goal in table.goals] == [met]


def test_a_known_environment_is_told_in_milliseconds() -> None:
    table = environments.known_table({"venv": [0.02, 0.03, 0.04], "image": [0.2] * 3}, runs=3)
    assert [cells for _, cells in table.rows] == [["30.0"], ["200.0"]]
    assert [goal.met for goal in table.goals] == [True, False]


def transfers(**rates: float) -> data.Samples:
    """Sides that move 1 GB at so many MB/s."""
    return {side: {way: [Sample(1000 / rate, 0.5, 0.25)] * 3 for way in (data.DOWN, data.UP)} for side, rate in rates.items()}


@pytest.mark.parametrize(("mine", "met"), [(95.0, True), (85.0, False)])
def test_a_large_file_is_held_against_the_quickest_peer(mine: float, met: bool) -> None:
    samples = transfers(**{"mlflows": mine, "s5cmd cp": 100.0, "s3fs.get": 50.0})
    table = data.table(data.LARGE, Load("1 file of 1 GB", 1, 10**9), samples, runs=3)
    assert table.rows[1] == ("s5cmd cp", ["100", f"{100 / mine:.2f} x", "0.50", "0.25"] * 2)
    assert [goal.met for goal in table.goals] == [met, met]
    assert all("s5cmd cp" in goal.text for goal in table.goals)


@pytest.mark.parametrize(("mine", "met"), [(151.0, True), (149.0, False)])
def test_small_files_are_held_against_s3fs(mine: float, met: bool) -> None:
    samples = transfers(**{"mlflows": mine, "s5cmd cp": 900.0, "s3fs.get": 50.0})
    table = data.table(data.SMALL, Load("100 files", 100, 10**9), samples, runs=3)
    assert [cells[0] for _, cells in table.rows] == [f"{rate / 10:.0f}" for rate in (mine, 900, 50)]
    assert [goal.met for goal in table.goals] == [met]


@pytest.mark.parametrize(("warm", "met"), [(0.8, True), (1.2, False)])
def test_a_cached_input_is_timed_from_the_listing_to_the_folder(warm: float, met: bool) -> None:
    ours = Sample(warm + 1, 0.5, 0.25, f"[0.3, {warm}]")
    samples = {data.COLD: [ours], data.WARM: [ours] * 3, data.SYNC_WARM: [Sample(0.7, 0.5, 0.25, "no JSON")] * 3}
    table = data.input_table(samples, Load("100 files", 100, 10**9), runs=3)
    assert [cells for _, cells in table.rows][1:] == [[f"{warm + 1:.2f}", "0.50", "0.300", f"{warm:.3f}"], ["0.70", "0.50", "", ""]]
    assert [goal.met for goal in table.goals] == [met]


def test_every_figure_has_a_name_of_its_own() -> None:
    assert len({figure.NAME for figure in ALL}) == len(ALL)
