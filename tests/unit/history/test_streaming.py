"""What is shown of a run's end."""

from __future__ import annotations

import json
from pathlib import Path

from mlflows.history.streaming import failure

TRACEBACK = "Traceback (most recent call last):\n" + "\n".join(f'  File "train.py", line {n}' for n in range(30)) + "\nValueError: no"


def shown(**error: object) -> tuple[dict[str, object], str]:
    text = failure({"code": "UserError", "message": "it failed", **error}, None, "http://run")
    head, _, rest = text.partition("\n}")
    return json.loads(head + "\n}")["error"], rest.strip()


def test_without_a_traceback_the_log_says_why() -> None:
    details, rest = shown(exit_code=3, log_tail=["loading", "giving up"])
    assert details == {"code": "UserError", "message": "it failed", "exit_code": 3, "url": "http://run"}
    assert rest == "Last lines of the log:\nloading\ngiving up"


def test_a_traceback_in_the_last_lines_is_shown_once_with_what_was_before_it() -> None:
    _, rest = shown(traceback=TRACEBACK, log_tail=["epoch 1", *TRACEBACK.splitlines()])
    assert rest == f"Last lines of the log:\nepoch 1\n{TRACEBACK}"


def test_a_long_traceback_is_shown_whole_without_its_end_again() -> None:
    assert shown(traceback=TRACEBACK, log_tail=TRACEBACK.splitlines()[-20:])[1] == TRACEBACK


def test_other_last_lines_follow_the_traceback() -> None:
    assert shown(traceback=TRACEBACK, log_tail=["bye"])[1] == f"{TRACEBACK}\n\nLast lines of the log:\nbye"


def test_a_log_on_this_machine_is_named_and_read(tmp_path: Path) -> None:
    log = tmp_path / "std_log.txt"
    log.write_text("one\ntwo\n")
    text = failure({"message": "it failed"}, log, "http://run")
    assert str(log) in text and text.endswith("Last lines of the log:\none\ntwo")
