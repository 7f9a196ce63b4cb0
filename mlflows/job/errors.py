"""Why a rank failed, in one sentence: the exception its log ends with, or its exit code, or its signal."""

import re
import signal

TAIL_BYTES = 262144
TAIL_LINES = 20
LINE_CHARACTERS = 2000
TRACEBACK_CHARACTERS = 12000
MESSAGE_CHARACTERS = 2000

_HEADER = re.compile(r"^(?P<margin>[ |+]*)(Exception Group )?Traceback \(most recent call last\):\s*$")
_EXCEPTION = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(: ?(?P<text>.*))?$")
_SYNTAX_ERROR = re.compile(r"^(SyntaxError|IndentationError|TabError): ")
_OUR_MESSAGE = re.compile(r"^\tMessage: (.*)$")
_MARGIN = " |+"
_BY_SHELL = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGTERM)
"""What a shell's 128 + number means, where a program would hardly choose that code itself."""


class Failure:
    """What the log of a failed rank says."""

    def __init__(self, message, traceback, log_tail):
        # type: (str, str | None, list[str]) -> None
        self.message = message
        self.traceback = traceback
        self.log_tail = log_tail


def explain(log_path, code, rank=None):
    # type: (str, int, int | None) -> Failure
    """Why a process ended with ``code`` (negative: by that signal).

    An uncaught exception makes Python exit with 1. With any other code the last traceback is the reason only if the log ends with it;
    before that, it was one the script caught and printed.
    """
    lines = last_lines(log_path)
    found = last_traceback(lines)
    who = "" if rank is None else " (rank {})".format(rank)
    message = exit_sentence(code) + who
    if found is not None and (code == 1 or (code > 1 and found.end >= len(lines) - 2)):
        message = "User program failed with {}{}".format(found.summary, who)
    elif code == 1 and lines:
        message = "{}. Its last line: {}".format(message, lines[-1].strip())
    return Failure(message[:MESSAGE_CHARACTERS], found.text if found else None, shortened(lines))


def exit_sentence(code):
    # type: (int) -> str
    """``code`` in words, with a hint where one number has a usual cause."""
    if code < 0:
        return "User program was killed by {}{}".format(signal_words(-code), _hint(-code))
    sentence = "User program failed with exit code {}".format(code)
    if code - 128 in _BY_SHELL:
        return "{}: killed by {}{}".format(sentence, signal_words(code - 128), _hint(code - 128))
    hints = {126: ": the command cannot be executed", 127: ": command not found"}
    return sentence + hints.get(code, "")


def signal_words(number):
    # type: (int) -> str
    """``SIGKILL (signal 9)``."""
    try:
        return "{} (signal {})".format(signal.Signals(number).name, number)
    except ValueError:
        return "signal {}".format(number)


def _hint(number):
    # type: (int) -> str
    if number == signal.SIGKILL:
        return "; most often the kernel's answer to running out of memory"
    return ""


def last_lines(path):
    # type: (str) -> list[str]
    """Lines of the last TAIL_BYTES of a log; of a line rewritten with carriage returns only its last state."""
    try:
        with open(path, "rb") as handle:
            handle.seek(0, 2)
            start = max(0, handle.tell() - TAIL_BYTES)
            handle.seek(start)
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.split("\n")
    if start:
        del lines[0]
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip("\r").rpartition("\r")[2] for line in lines]


def shortened(lines):
    # type: (list[str]) -> list[str]
    """The last TAIL_LINES, none longer than LINE_CHARACTERS."""
    return [line[:LINE_CHARACTERS] for line in lines[-TAIL_LINES:]]


class Traceback:
    """A traceback found in a log: its text, ``<Type>: <text>`` and the index of its last line."""

    def __init__(self, text, summary, end):
        # type: (str, str, int) -> None
        self.text = text
        self.summary = summary
        self.end = end


def last_traceback(lines):
    # type: (list[str]) -> Traceback | None
    """The last Python traceback; of a chain the last one, which is what was raised in the end."""
    for index in range(len(lines) - 1, -1, -1):
        header = _HEADER.match(lines[index])
        if header:
            found = _from_header(lines, index, header.group("margin").strip(_MARGIN) == "" and bool(header.group("margin")))
            if found:
                return found
        elif _SYNTAX_ERROR.match(lines[index]) and lines[index - 1].startswith("  "):
            return _syntax_error(lines, index)
    return None


def _from_header(lines, start, has_margin):
    # type: (list[str], int, bool) -> Traceback | None
    margin = len(lines[start]) - len(lines[start].lstrip(_MARGIN)) if has_margin else 0
    body = [line[margin:] for line in lines[start:]]
    for offset, line in enumerate(body[1:], 1):
        if line.startswith(" ") or not line:
            continue
        exception = _EXCEPTION.match(line)
        return _made(body, offset, start, exception) if exception else None
    return None


def _made(body, offset, start, exception):
    # type: (list[str], int, int, re.Match[str]) -> Traceback
    end = offset
    while end + 1 < len(body) and body[end + 1][:1] in ("\t", " "):
        end += 1
    rest = body[offset + 1 : end + 1]
    text = (exception.group("text") or "").strip()
    ours = [match.group(1) for match in map(_OUR_MESSAGE.match, rest) if match]
    if ours:
        text = ours[0]
    elif rest:
        text = "\n".join([text] + rest).strip()
    name = exception.group("type").rpartition(".")[2]
    summary = "{}: {}".format(name, text) if text else name
    return Traceback(_cut("\n".join(body[: end + 1])), summary, start + end)


def _syntax_error(lines, index):
    # type: (list[str], int) -> Traceback
    start = index - 1
    while start > 0 and lines[start - 1].startswith("  ") and not lines[start].startswith('  File "'):
        start -= 1
    return Traceback(_cut("\n".join(lines[start : index + 1])), lines[index], index)


def _cut(text):
    # type: (str) -> str
    if len(text) <= TRACEBACK_CHARACTERS:
        return text
    half = TRACEBACK_CHARACTERS // 2
    return "{}\n...\n{}".format(text[:half], text[-half:])
