"""Reading the reason of a failure out of a log."""

import subprocess
import sys

import pytest

from mlflows.job import errors


def log_of(tmp_path, text, python=sys.executable):
    """The log of a script, as its interpreter really writes it."""
    script, log = tmp_path / "train.py", tmp_path / "log.txt"
    script.write_text(text)
    with log.open("wb") as handle:
        code = subprocess.call([python, str(script)], stdout=handle, stderr=handle)
    return str(log), code


@pytest.mark.parametrize(
    "text, message",
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError", "ValueError"),
        ("raise ValueError('two\\n\\tlines')", "ValueError: two\n\tlines"),
        ("raise ValueError('lr: 0.1: bad')", "ValueError: lr: 0.1: bad"),
        ("import json; json.loads('{')", "JSONDecodeError: Expecting property name"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise RuntimeError('outer')", "RuntimeError: outer"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('caused') from e", "RuntimeError: caused"),
        ("x = (1,\nprint(x", "SyntaxError: "),
        ("if True:\nprint(1)", "IndentationError: "),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("class E(Exception): pass\nclass A:\n    class B(E): pass\nraise A.B('nested')", "B: nested"),
        ("import atexit\natexit.register(print, 'bye')\nraise OSError(28, 'No space')", "OSError: [Errno 28] No space"),
        ("raise ValueError('grüße')", "ValueError: "),
    ],
)
def test_exceptions(tmp_path, text, message):
    log, code = log_of(tmp_path, text)
    failure = errors.explain(log, code)
    assert failure.message.startswith("User program failed with " + message)
    assert failure.traceback and failure.traceback.splitlines()[0].lstrip().startswith(("Traceback", "File"))


@pytest.mark.parametrize(
    "text, message", [("def f():\n    return {}['key']\nf()", "KeyError: 'key'"), ("x = (1,\nprint(x", "SyntaxError: ")]
)
def test_exceptions_of_every_python(tmp_path, any_python, text, message):
    """Their tracebacks differ: carets, markers, hints."""
    log, code = log_of(tmp_path, text, any_python)
    failure = errors.explain(log, code)
    assert failure.message.startswith("User program failed with " + message)
    assert 'train.py", line' in failure.traceback


def test_our_own_exceptions_give_their_message(tmp_path):
    log, code = log_of(tmp_path, "from mlflows.exceptions import UserErrorException\nraise UserErrorException('name is taken')")
    assert errors.explain(log, code).message == "User program failed with UserErrorException: name is taken"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no exception groups")
def test_exception_group(tmp_path):
    log, code = log_of(tmp_path, "raise ExceptionGroup('several', [ValueError('one'), KeyError('two')])")
    failure = errors.explain(log, code)
    assert failure.message == "User program failed with ExceptionGroup: several (2 sub-exceptions)"


def test_the_chain_ends_with_what_was_raised(tmp_path):
    log, code = log_of(tmp_path, "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise RuntimeError('outer')")
    assert "ZeroDivisionError" not in errors.explain(log, code).traceback


def test_an_exception_that_was_caught_is_not_the_reason(tmp_path):
    text = "import sys, traceback\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    traceback.print_exc()\nprint('a\\nb\\nc')\nsys.exit(3)"
    log, code = log_of(tmp_path, text)
    failure = errors.explain(log, code, rank=2)
    assert failure.message == "User program failed with exit code 3 (rank 2)"
    assert "ZeroDivisionError" in failure.traceback


def test_exit_with_a_sentence(tmp_path):
    log, code = log_of(tmp_path, "import sys; sys.exit('no data in /data')")
    assert errors.explain(log, code).message == "User program failed with exit code 1. Its last line: no data in /data"


def test_lines_before_the_end_of_a_long_log(tmp_path):
    log, code = log_of(tmp_path, "for n in range(200000): print(n)\nraise KeyError('last')")
    failure = errors.explain(log, code)
    assert failure.message == "User program failed with KeyError: 'last'"
    assert len(failure.log_tail) == errors.TAIL_LINES


def test_long_text_is_cut(tmp_path):
    log, code = log_of(tmp_path, "raise ValueError('x' * 100000)")
    failure = errors.explain(log, code)
    assert len(failure.message) <= errors.MESSAGE_CHARACTERS
    assert len(failure.traceback) < errors.TRACEBACK_CHARACTERS + 10
    assert max(map(len, failure.log_tail)) == errors.LINE_CHARACTERS


def test_progress_bar_lines_show_their_last_state(tmp_path):
    (tmp_path / "log").write_bytes(b"\r10%\r100%\nend\r\n")
    assert errors.last_lines(str(tmp_path / "log")) == ["100%", "end"]


def test_no_log(tmp_path):
    assert errors.explain(str(tmp_path / "none"), -15).message == "User program was killed by SIGTERM (signal 15)"


@pytest.mark.parametrize(
    "code, sentence",
    [
        (2, "User program failed with exit code 2"),
        (127, "User program failed with exit code 127: command not found"),
        (134, "User program failed with exit code 134: killed by SIGABRT (signal 6)"),
        (255, "User program failed with exit code 255"),
        (-64, "User program was killed by SIGRTMAX (signal 64)"),
        (-40, "User program was killed by signal 40"),
    ],
)
def test_exit_sentence(code, sentence):
    assert errors.exit_sentence(code) == sentence
